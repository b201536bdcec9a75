"""The networks. Each reads raw features and returns its feature layer and the logits of the emotions."""
