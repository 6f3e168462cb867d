"""The tools by which a model asks things of its host."""
