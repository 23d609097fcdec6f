"""The configuration that an app is served with: its own, completed by that of the process."""

from vivace.config import SETTINGS, Config
from vivace.interfaces.hosted import unlimit
from vivace.supervisor.loading.job import Job
from vivace.supervisor.loading.target import Loaded

__all__ = ["app_config"]


def app_config(job: Job, loaded: Loaded) -> Config:
    """The configuration to serve with: the app's own if it has one, completed by that of the process.

    Args:
        job: What the process does.
        loaded: The app.
    """
    own = getattr(loaded.app, "config", None) if loaded.kind == "native" else None
    if not isinstance(own, Config):
        unlimit(job.config)
        return job.config
    if job.final:
        return own
    for setting in SETTINGS:
        name = setting.name
        late = setting.scope == "process" and own.sources.get(name) == "application code"
        if late and own[name] != job.config[name]:
            own.warnings.append(
                f"{name} of application code comes too late: `vivace run` reads it before it imports the app;"
                f" use {setting.option or 'a file'}, {setting.variable} or vivace.toml"
            )
    own.complete(job.config)
    own.override(job.overrides)
    return own
