"""The shell script that makes a commit, as a constant: everything else is only ever an argument or a variable of it.

Used by commit.py, which says what it is given. Its settings come by the environment, so that the command a person is
shown stays readable.
"""

from __future__ import annotations

COMMIT_NAME = "flow-commit"
"""The script's name for itself, by which a command is known as a commit of flow."""
HOOKED_NAME = "flow-commit-with-hooks"
"""The name of a commit that runs trusted hooks, which like any command may change every file."""

FOLDER = "FLOWLOOM_HOOKS"
"""Variable with the folder of the hooks."""
NAMES = "FLOWLOOM_HOOK_NAMES"
"""Variable with the events whose hooks run, parted by blanks."""
FILES = "FLOWLOOM_HOOK_FILES"
"""Variable with the absolute paths of all files that were trusted, one a line."""
IDS = "FLOWLOOM_HOOK_IDS"
"""Variable with git's hash of each of them, one a line."""

# What stands between git and each hook. The files are looked at again right before: an earlier hook, or whoever had
# time while a person was asked, may have changed them. After pre-commit it holds the promise that a commit has
# nothing of the user's that was not asked for, also where a hook adds whatever it finds.
_RUNNER = """#!/bin/sh
hook=${0##*/}
unset GIT_LITERAL_PATHSPECS GIT_REFLOG_ACTION
if [ "$(printf '%s\\n' "$FLOWLOOM_HOOK_FILES" | git hash-object --no-filters --stdin-paths)" != "$FLOWLOOM_HOOK_IDS" ]
then
  echo "The hook $hook did not run: it, or a file that belongs to it, is no longer what was trusted."; exit 1
fi
if [ "$hook" = pre-commit ]; then
  { git diff --name-only --no-ext-diff --no-textconv --no-renames --ignore-submodules=all
    git ls-files --others --exclude-standard; } >"$0.others" || exit 1
  before=$(git write-tree) || exit 1
fi
"$FLOWLOOM_HOOKS/$hook" "$@" </dev/null
code=$?
if [ "$code" != 0 ]; then echo "The hook $hook failed with exit code $code."; exit "$code"; fi
[ "$hook" = pre-commit ] || exit 0
after=$(git write-tree) || exit 1
git diff-tree -r --name-only --no-renames "$before" "$after" >"$0.added" || exit 1
taken=$(grep -Fxf "$0.added" "$0.others")
case $? in
  0) printf 'The hook %s added files with changes that are not for this commit:\\n%s\\n' "$hook" "$taken"; exit 1 ;;
  1) exit 0 ;;
  *) exit 1 ;;
esac"""

# Begun a second time after a kill it finds its commit and says so. Hooks print into a file, and the commit is named
# before post-commit runs: nothing that a hook prints or does later can pass for the commit that was made.
COMMIT_SCRIPT = f"""parent=$1; message=$2; remark=$3; shift 3; head=$(git rev-parse --verify --quiet HEAD)
put_back() {{
  git update-index --force-remove -- "$@"
  [ -z "$before" ] || printf '%s\\n' "$before" | git update-index --index-info
}}
prepare_hooks() {{
  temp=$(mktemp -d) || exit 1
  trap 'rm -rf "$temp"' EXIT
  mkdir "$temp/hooks" "$temp/after"
  for hook in $FLOWLOOM_HOOK_NAMES; do
    place=hooks; [ "$hook" != post-commit ] || place=after
    cat >"$temp/$place/$hook" <<'END_OF_RUNNER'
{_RUNNER}
END_OF_RUNNER
    chmod 700 "$temp/$place/$hook"
    [ -x "$temp/$place/$hook" ] || {{ echo "No program can be run in $temp, so hooks can not."; exit 1; }}
  done
}}
take_over_index() {{
  git diff-tree -r --root --no-commit-id --name-only --no-renames -z "$commit" |
    (cd "$top" && git reset --quiet --pathspec-from-file=- --pathspec-file-nul)
  git update-index -q --refresh >/dev/null
}}
run_post_commit() {{
  [ -e "$temp/after/post-commit" ] || return 0
  echo "commit $commit"  # should the hook bring this command to an end
  (cd "$top" && "$temp/after/post-commit" </dev/null >"$temp/said" 2>&1; : >"$temp/ended") >/dev/null 2>&1 &
  looks=0
  until [ -e "$temp/ended" ] || [ "$looks" -ge 600 ]; do sleep 0.1; looks=$((looks + 1)); done
  cat "$temp/said"
  [ -e "$temp/ended" ] || echo "The hook post-commit had not ended after a minute, and was ended."
  moved=$(git rev-parse HEAD)
  [ "$moved" = "$commit" ] || echo "The hook post-commit has moved HEAD to $moved."
}}
is_ours() {{
  [ "$(git rev-parse --verify --quiet HEAD^)" = "$parent" ] || return 1
  # A hook may have changed the message.
  [ -z "$with_hooks" ] || case $(git log --walk-reflogs --max-count=1 --format=%gs HEAD) in
    "$GIT_REFLOG_ACTION: "*) return 0 ;;
  esac
  [ "$(git show --no-patch --encoding=UTF-8 --format=%B HEAD)" = "$message" ]
}}
with_hooks=; [ "$0" != {HOOKED_NAME} ] || with_hooks=yes
top=$(git rev-parse --show-toplevel)
if [ "$head" = "$parent" ]; then
  # The rules may have changed since the files were chosen; update-index does not look at them.
  ignored=$(git ls-files --others --ignored --exclude-standard -- "$@") || exit 1
  if [ "$ignored" ]; then
    printf 'Git ignores these files by now, so nothing was committed:\\n%s\\n' "$ignored"; exit 1
  fi
  before=$(git ls-files --stage -- "$@")
  git update-index --add --remove --replace -- "$@" || exit 1
  set -- --only --no-gpg-sign --cleanup=whitespace --message="$message" -- "$@"
  if [ "$with_hooks" ]; then
    prepare_hooks
    trap 'cat "$temp/said"; shift 5; put_back "$@"; exit 1' TERM
    git -c core.hooksPath="$temp/hooks" commit "$@" </dev/null >"$temp/said" 2>&1
  else
    git commit --no-verify "$@"
  fi
  code=$?
  trap - TERM
  shift 5
  [ -z "$with_hooks" ] || cat "$temp/said"
  if [ "$code" != 0 ]; then put_back "$@"; exit 1; fi
  commit=$(git rev-parse HEAD)
  if [ "$with_hooks" ]; then take_over_index; run_post_commit; fi
elif is_ours; then
  commit=$head
  [ -z "$with_hooks" ] || take_over_index
else
  echo "HEAD has moved meanwhile; nothing was committed."; exit 1
fi
printf '%s\\ncommit %s\\n' "$remark" "$commit"
"""
