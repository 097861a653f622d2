"""How an annotated picture is seen: cropped, flipped, coloured, pasted together."""
