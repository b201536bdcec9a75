"""What happens now, from devices, addresses or a file at its own pace."""
