"""`facegen doctor --security`: what the operator of a public studio should know of this machine."""

import os
import stat
from pathlib import Path

from facegen import config


def examine_security() -> dict[str, str]:
    """Findings by subject, each beginning with «good», «mind» or «open»."""
    from facegen.guarded import enforced
    from facegen.provenance.keys import key_path

    home, key = config.home(), key_path()
    profile = os.environ.get("FACEGEN_PROFILE", "") or ("space" if "SPACE_ID" in os.environ else "own")
    held = enforced()
    missing = [name for name, holds in held.items() if not holds]
    hosts, accounts = os.environ.get("FACEGEN_HOSTS", ""), os.environ.get("FACEGEN_AUTH_FILE", "")
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return {
        "profile": f"{'mind' if profile == 'own' else 'good'}: {profile} (FACEGEN_PROFILE); «own» is for one person alone",
        "signing key": f"{_judge(key, 0o077)}: {key}",
        "home": f"{_judge(home, 0o002)}: {home}",
        "files of others": f"open: not enforced here: {', '.join(missing)}"
        if missing
        else "good: memory, network and writing are limited while they are opened",
        "user": "mind: root; a container or service should run as somebody without rights"
        if is_root
        else "good: not root",
        "hosts": f"good: {hosts}"
        if hosts
        else "mind: FACEGEN_HOSTS names none; a studio that others reach answers to every name",
        "sign-in": f"{_judge(Path(accounts), 0o077)}: {accounts}"
        if accounts
        else "mind: none (--auth-file); whoever reaches the port may use a shared studio",
        "transport": "mind: plain HTTP; put a proxy with a certificate in front (it should set X-Forwarded-For)",
        "audit": f"good: {home / 'audit.jsonl'}, written by shared studios",
        "read on": "docs/threats.md",
    }


def _judge(path: Path, forbidden: int) -> str:
    if not path.exists():
        return "mind, not there yet"
    return (
        "open, others may read or write"
        if stat.S_IMODE(path.stat().st_mode) & forbidden and os.name == "posix"
        else "good"
    )
