"""The agent of a load balancer: it writes the list of backends that nginx uses."""
