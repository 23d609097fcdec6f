"""Where a stream of the server meets an app of some kind; today: native.

An interface is the only thing that knows both sides; each kind is one module.
"""
