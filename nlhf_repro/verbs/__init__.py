"""What the commands do; each module is one verb or what several verbs share."""
