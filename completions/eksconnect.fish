complete --keep-order --exclusive --command eksconnect --arguments "(EKSCONNECT_COMPLETE=fish eksconnect -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
