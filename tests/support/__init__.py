"""What several tests share: small corpora, media files and recordings made here, a file server, a browser."""
