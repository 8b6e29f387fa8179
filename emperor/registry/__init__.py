"""What the machines of a fleet share, in etcd: the inis, the backends that are up, the slots."""
