"""How replies get to the chats of a network, so that none is lost and none is there twice."""
