"""The channel of Slack workspaces, over Socket Mode and the Web API."""
