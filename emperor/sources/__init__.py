"""Where vassals come from: the folder of inis, and the provisioning command."""
