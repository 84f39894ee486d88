"""A run is a folder: work that takes long, that survives whoever started it, and that can be repeated.

```
request.json   what was asked: kind, request, the command that does it, when
status.json    state, progress, words, rate, time left, process; written atomically
log.txt        everything the process printed
stats.jsonl    one line of figures at least every ten seconds
results/       what it made; each kind of work keeps its own journal beside it
```

A run is started as a process of its own from an argument list, in its own process group, so that it outlives a closed
browser or a restarted studio and can be cancelled as a whole. The process itself calls `Run.work()`, which holds the
folder against a second process and writes how things stand. What status.json says is never taken on trust: a run that
says «running» while its process is gone has failed, whatever killed it.
"""

from facegen.runs.process import RunStatus, State
from facegen.runs.queue import find_run, list_runs, start_queued
from facegen.runs.run import Run, runs_home

__all__ = ["Run", "RunStatus", "State", "find_run", "list_runs", "runs_home", "start_queued"]
