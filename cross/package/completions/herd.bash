# bash completion for herd(1)
_herd() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command="${COMP_WORDS[*]:1:2}"
    COMPREPLY=()
    case $before in
        --config | --log-dir | --out | --file | --base | --admin1 | --admin2) compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
    esac
    [ "$COMP_CWORD" != 1 ] || { mapfile -t COMPREPLY < <(compgen -W 'up serve init key send status nodes clients check token places help --help --version' -- "$word"); return; }
    case $command in
        'up'*) _herd_words '--config --log-dir --log-level --help' ;;
        'serve'*) _herd_words '--config --log-level --log-format --supervised --help' ;;
        'init'*) _herd_words '--out --help' ;;
        'key'*) _herd_words '--out --help' ;;
        'send'*) _herd_words '--to --timeout --config --help' ;;
        'status'*) _herd_words '--all --verbose --json --help' ;;
        'nodes'*) _herd_words '--node --json --help' ;;
        'clients'*) _herd_words '--near --node --json --help' ;;
        'check'*) _herd_words '--config --node --help' files ;;
        'token'*) _herd_words '--config --phone --url --qr --help' ;;
        'places near'*) _herd_words '--file --help' ;;
        'places import'*) _herd_words '--out --base --format --columns --separator --type --admin1 --admin2 --skip-bad --help' files ;;
        'places'*) _herd_words 'near import --help' ;;
    esac
}
_herd_words() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$word")
    if [ "${2-}" = files ]; then
        compopt -o filenames 2>/dev/null
        mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$word")
    fi
}
complete -F _herd herd
