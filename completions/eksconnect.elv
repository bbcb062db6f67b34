set edit:completion:arg-completer[eksconnect] = { |@words|
    var index = (count $words)
    set index = (- $index 1)

    put (env _CLAP_IFS="\n" _CLAP_COMPLETE_INDEX=(to-string $index) EKSCONNECT_COMPLETE="elvish" eksconnect -- $@words) | to-lines
}
