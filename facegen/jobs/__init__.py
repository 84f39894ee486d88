"""Jobs: declared once, run in a folder of their own, watched, cancelled and resumed. See docs/jobs.md.

```
request.json   the job's name and its request, which is all that is needed to run it; whose it is, and when it was made
status.json    state, progress, text, rate, time left, process; written atomically
log.txt        everything the process printed
stats.jsonl    one line of figures at least every ten seconds
result.json    the job's result
inputs/        files that a browser's visitor brought
results/       what it made; each kind of work keeps its own journal beside it
```

A run is started as `python -m facegen.worker FOLDER` in its own process group, so that it outlives a closed browser or a
restarted studio and can be cancelled as a whole. The process itself calls `Run.work()`, which holds the folder against a
second process and writes its status. What status.json says is never taken on trust: a run that says «running» while its
process is gone has failed, whatever killed it.
"""

from facegen.jobs.files import INPUT, OUTPUT, model_of, settings_of
from facegen.jobs.job import Job, Result
from facegen.jobs.process import RunStatus, State
from facegen.jobs.progress import OnProgress, Progress
from facegen.jobs.queue import Turn, estimate_turns, find_run, list_runs, start_queued
from facegen.jobs.run import Run, runs_home

__all__ = [
    "INPUT",
    "OUTPUT",
    "Job",
    "OnProgress",
    "Progress",
    "Result",
    "Run",
    "RunStatus",
    "State",
    "Turn",
    "estimate_turns",
    "find_run",
    "list_runs",
    "model_of",
    "runs_home",
    "settings_of",
    "start_queued",
]
