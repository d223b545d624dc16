"""The engines that train, one file each."""
