# shellcheck shell=bash
# Removes what runs left behind, also killed ones, by label and name.
# Sourced after engine.sh.

# remove_by_filter container|network|volume FILTER: all that the filter finds.
remove_by_filter() { list_by_filter "$@" | remove_listed "$1"; }

# Prints "ID NAME" lines.
list_by_filter() {
  case $1 in
    container) docker container ls -a --no-trunc --filter "$2" --format '{{.ID}} {{.Names}}' ;;
    network) docker network ls --no-trunc --filter "$2" --format '{{.ID}} {{.Name}}' ;;
    volume) docker volume ls --filter "$2" --format '{{.Name}} {{.Name}}' ;;
  esac
}

remove_listed() {
  local kind=$1 options=()
  [[ $kind == container ]] && options=(--force --volumes)
  cut -d ' ' -f 1 | xargs -r "$DOCKER" "$kind" rm "${options[@]}"
}

# A run may put its process and that process's start time into the names of
# what it makes (emcp-test-SUITE-PID-START-…). Then a run that still goes on,
# beside this one, keeps its things.
owner_lives() {
  [[ $1 =~ ^emcp-test-[a-z0-9]+-([0-9]+)-([0-9]+)- ]] || return 1
  local pid=${BASH_REMATCH[1]} start=${BASH_REMATCH[2]} stat
  stat=$(cat "/proc/$pid/stat" 2>/dev/null) || return 1
  # The command name, in brackets, may hold spaces; the start time is the 20th
  # field behind it.
  [[ $(awk '{ print $20 }' <<<"${stat##*) }") == "$start" ]]
}

remove_test_leftovers() {
  local kind id name
  for kind in container network volume; do
    { list_by_filter "$kind" label=emcp.test && list_by_filter "$kind" name=^emcp-test-; } | sort -u |
      while read -r id name; do
        owner_lives "$name" || echo "$id"
      done | remove_listed "$kind"
  done
  kill_test_processes dead
}

# A test run marks everything it starts with MAKE_TEST_RUN=PID, the script's
# process, and MAKE_TEST_SUITE, which of its suites. kill_test_processes SUITE
# ends what is left of that suite, and "dead" what is left of every run whose
# script is gone.
kill_test_processes() {
  local of=$1 mark file run pid
  if [[ $of == dead ]]; then mark='^MAKE_TEST_RUN='; else mark="^MAKE_TEST_SUITE=$of\$"; fi
  # Variables are separated by NUL; processes come and go meanwhile.
  while IFS= read -r file; do
    pid=${file#/proc/} pid=${pid%/environ}
    if [[ $of == dead ]]; then
      run=$(grep -zs "$mark" "$file" | tr -d '\0') || continue
      [[ ! -d /proc/${run#MAKE_TEST_RUN=} ]] || continue
    fi
    kill -KILL "$pid" 2>/dev/null || true
  done < <(grep -lzs "$mark" /proc/[0-9]*/environ)
}
