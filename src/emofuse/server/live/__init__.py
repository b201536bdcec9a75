"""Live sessions: audio and pictures come over a WebSocket, windows go back."""
