"""The ways out of alarms: webhooks, Slack, mail, Prometheus, Alertmanager and Kubernetes Events."""
