"""Live audio and video: from devices, addresses or a file at its own pace."""
