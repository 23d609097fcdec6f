"""The command line: `vivace run`, `config`, `routes`, `check`.

Rules of this package:

- Each command is imported when it is called, so that `vivace run` pays for nothing else.
- Options come from the declarations of the settings; none is written by hand.
- Exit codes: 0 all is well, 2 usage or configuration, 3 the app failed to start, 4 a socket, 1 anything else.
- Answers go to standard output, errors and the log to standard error.

    group, options, columns              the command, its options, tables that it prints
    run, serve, embed                    serving: from the shell, by `app.run()`, in somebody's own loop
    procfile, from_uwsgi                 the same, as files of others say it
    check, check_beside, show_config, routes, budget
                                         looking before it is served
    ctl, top, top_rows, top_screen, logs
                                         looking after a server that runs
    execute, schedule, tasks, task_runner
                                         what an app does beside requests
"""

__all__ = ["main"]


def main() -> None:
    """Run the command that the arguments of the process name."""
    from vivace.cli.group import vivace

    vivace(prog_name="vivace")
