# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_shuttle_global_optspecs
    string join \n x/exclude= X/exclude-from= s/subnets= disable-ipv6 r/remote= e/ssh-cmd= method= l/listen= D/daemon pidfile= syslog v/verbose V/version h/help
end

function __fish_shuttle_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_shuttle_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_shuttle_using_subcommand
    set -l cmd (__fish_shuttle_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c shuttle -n "__fish_shuttle_needs_command" -s x -l exclude -d 'Leave these destinations alone (repeatable)' -r
complete -c shuttle -n "__fish_shuttle_needs_command" -s X -l exclude-from -d 'Read excludes from a file, one a line (repeatable)' -r -F
complete -c shuttle -n "__fish_shuttle_needs_command" -s s -l subnets -d 'Read subnets from a file, one a line (repeatable)' -r -F
complete -c shuttle -n "__fish_shuttle_needs_command" -s r -l remote -d 'The host to reach it through: a name, an address or an alias of ssh\'s configuration, or exec:COMMAND. Without it, this machine itself, for trying things out' -r -f -a "(__fish_print_hostnames)"
complete -c shuttle -n "__fish_shuttle_needs_command" -s e -l ssh-cmd -d 'The ssh to use, with options: -e \'ssh -i key -J gateway\'' -r
complete -c shuttle -n "__fish_shuttle_needs_command" -l method -d 'How to intercept: auto or nft' -r
complete -c shuttle -n "__fish_shuttle_needs_command" -s l -l listen -d 'Where to accept intercepted connections; IPv4 and IPv6 with a comma between them. Without IP: 0.0.0.0. Without the option: a free port on 127.0.0.1 and on ::1' -r
complete -c shuttle -n "__fish_shuttle_needs_command" -l pidfile -d 'Write the process id to this file once everything works' -r -F
complete -c shuttle -n "__fish_shuttle_needs_command" -l disable-ipv6 -d 'Leave IPv6 alone'
complete -c shuttle -n "__fish_shuttle_needs_command" -s D -l daemon -d 'Go to the background once everything works; implies --syslog'
complete -c shuttle -n "__fish_shuttle_needs_command" -l syslog -d 'Log to syslog instead of stderr'
complete -c shuttle -n "__fish_shuttle_needs_command" -s v -l verbose -d 'Say more; -vv for every connection as well'
complete -c shuttle -n "__fish_shuttle_needs_command" -s V -l version -d 'Print the version; with -v also the platforms that the remote may have'
complete -c shuttle -n "__fish_shuttle_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c shuttle -n "__fish_shuttle_needs_command" -a "status" -d 'Show the shuttles that you run, their links and what goes through them'
complete -c shuttle -n "__fish_shuttle_needs_command" -a "stop" -d 'End a shuttle that you run'
complete -c shuttle -n "__fish_shuttle_needs_command" -a "cleanup" -d 'Remove what a killed shuttle may have left behind; harmless at any time'
complete -c shuttle -n "__fish_shuttle_using_subcommand status" -s r -l remote -d 'Its remote, as it was given at start' -r
complete -c shuttle -n "__fish_shuttle_using_subcommand status" -l json -d 'Print JSON: an array with one object for each'
complete -c shuttle -n "__fish_shuttle_using_subcommand status" -s h -l help -d 'Print help'
complete -c shuttle -n "__fish_shuttle_using_subcommand stop" -s r -l remote -d 'Its remote, as it was given at start' -r
complete -c shuttle -n "__fish_shuttle_using_subcommand stop" -l all -d 'All of them'
complete -c shuttle -n "__fish_shuttle_using_subcommand stop" -s h -l help -d 'Print help'
complete -c shuttle -n "__fish_shuttle_using_subcommand cleanup" -s h -l help -d 'Print help'
