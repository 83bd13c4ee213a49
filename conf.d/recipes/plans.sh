#!/bin/sh
# For api-plans.conf: says for each key what its limits are, one line for one
# line. NULL: there is no such key. httpd starts this once, as the user that it
# was started by, and it runs until httpd ends. Never answer anything else than
# one line, and never twice; a key is what a client sent.
while read -r key; do
    case $key in
        3fa85f6457174562b3fc2c963f66afa6) echo '60/minute;5000/day' ;;
        *) echo NULL ;;
    esac
done
