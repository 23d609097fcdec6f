"""The configuration: ONE declaration per setting, and where each value came from.

From `SETTINGS` come the attributes of `Config`, the environment variables, the keys of the TOML files, the
options of the command line and the tables of the documentation.

Who wins (the later beats the earlier):

    default < pyproject.toml [tool.vivace] < vivace.toml < environment < application code < command line

- The environment means `VIVACE_<NAME>`, and after it `PORT`, `WEB_CONCURRENCY` and `DEBUG`, which platforms
  set and which therefore never stop the start: one that cannot be used is ignored with a warning.
- Application code (`app.config.X = ...`) runs after the environment was read and beats it; whoever starts the
  process has the last word, by options of the command line or arguments of `app.run()`.
- Settings of the whole process (`Setting.scope`) are needed before any application code is imported:
  `vivace run` takes them from everywhere else, `app.run()` from application code too.
- With `PORT` in the environment and no host given anywhere, HOST is *: so platforms ask to be served.

    table, table_alarms, table_beside, table_clients, table_graphql, table_groups, table_hub, table_logs,
    table_static, table_stats, table_tasks
                                         the declarations
    setting, config, convert, reference  what one is; the values; where else they come from; the document
    alarms, daemons, stages              tables of a file that are no single settings
    binds, budget, places, workers       what values of more than a word may say
    redact                               secrets among them, which are never shown
    platform, kubernetes                 what is found in the environment
"""

from vivace.config.config import Config
from vivace.config.reference import reference
from vivace.config.setting import Setting, available_cpus
from vivace.config.table import SETTINGS

__all__ = ["SETTINGS", "Config", "Setting", "available_cpus", "reference"]
