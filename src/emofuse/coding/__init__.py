"""What human coders wrote: annotation files → coded spans → agreement, and clips to train on."""
