import pytest

from flowloom.tools.shell_policy import check_command

READS = """
sed -n 10p a
sed -n '10,20p' a
sed -n '/def /,/return/p' a.py
sed -e 's/a/b/' -e '2,4d' a
sed 's|/usr|/opt|g; s#x#y#2' a
sed -E 's/(a+)b/\\1/I' a
sed '$d' a
sed -n ' 1 , 3 p ; 5 !p ' a
strings a
awk '{print $1}' a
awk -F: -v OFS=, '{print $1, $3}' a
awk 'NR>=10 && NR<=20' a
awk '/foo|bar/ {n++} END {print n}' a
awk '$3 == "x" || $4 == "y"' a
find . -name '*.py' -newer a -printf '%p\\n'
find . \\( -name a -o -name b \\) -prune -o -print
find . -type f -exec grep -l x {} +
find . -name x -exec wc -l {} \\;
git ls-files | xargs grep -l x
find . -name '*.py' -print0 | xargs -0 -n 10 wc -l
ls | xargs -I{} basename {}
[ -f a ] && [ "$HOME" != x ]
[[ -d src ]] || ls
[[ 1 -lt 2 ]] && pwd
test -s a
date
date -u +%Y-%m-%d
date -d 'last monday' +%s
jq '.env.name, .a[0]' a.json
jq --arg x y '.[$x]' a.json
ps aux
ps -ef
set -euo pipefail
cd src && ls
exit 0
timeout -k 1 5 ls
nice -n 5 ls
env -i ls
env LANG=C sort a
command ls
time -p ls
stdbuf -oL cat a
bash -ec 'ls && pwd'
sort -t : -k 2,2n -u a
grep -rn --include='*.py' -e foo -e bar src
grep -A 3 -B 3 '/etc/hosts.allow.d' src
grep -c -- '--flag' a
rg -g '!*.min.js' -t py 'x|y' src
cut -d '/' -f 2 a
diff -u a b
tree -L 2 -I node_modules
echo "$HOME" $? "$((1 + 2))"
printf '%s %d\\n' a 1
cat a > /dev/null 2>&1 < b
cat <<< 'some text'
xxd -s 0x10 -l 32 a
xxd -ps -c20 a
uniq -c -f 1 a
git log --since='2 weeks ago' --author=me --grep fix
git diff main...HEAD -- src
git branch -avv
git cat-file -p HEAD
git reflog show -n 5
/usr/bin/grep x a
""".strip().split("\n")

ASKS = """
sed -ni p a
sed -n p -i a
sed --expression='1w x' a
sed 's/a/b/w x' a
sed 's/[/]/p;e id/g' a
sed '1r /etc/passwd' a
sed '1{p;e id}' a
sed -n "$X" a
sed -n 1p *
sed '1!G;h;$!d;w x' a
awk '{print > "x"}' a
awk '/a/ {print | "sh"}' a
awk '/a/ {print > "x"} /b/' a
awk '{print >> "x"}' a
awk '{print | "sh"}' a
awk 'BEGIN {while (("id" | getline l) > 0) print l}'
awk 'BEGIN {printf "x" |& "sh"}'
awk '# " \\n{system("id")} # "' a
awk '/"/{print > "x"} /"/' a
awk '{print ENVIRON["HOME"]}' a
awk "$X" a
awk -f a b
awk -i inplace '{print}' a
awk '{print}' ../a
find . -name x -delete
find . -execdir ls {} \\;
find . -exec sh -c 'rm {}' \\;
find . -exec rm {} +
find . -exec cat x{} \\;
find .. -name x
find $X -name x
find . -newer /etc/passwd
xargs cat
cat list | xargs cat
echo /etc/passwd | xargs cat
ls | sed 's#^#/etc/#' | xargs cat
ls | xargs rm
ls | xargs sort
ls | xargs -I{} cat ../{}
ls | xargs -P4 sh -c id
ls | xargs --arg-file=x cat
ls | xargs -i cat
grep x a | xargs cat
[ -v x ]
[ -f a
[ 'a[0]' -eq 1 ]
[[ x -eq 1 ]]
[[ -v x ]]
test -f ../a
test -n $X
date -s tomorrow
date --set=x
date 010203042020
jq -f x a
jq env a
jq '$ENV.X' a
jq --slurpfile x /etc/passwd . a
ps auxe
ps eww
set -x -- a
set foo
cd
cd -
cd ..
cd $X
cd ~
exit $X
timeout --foo 5 ls
timeout 5
nice -n 5 rm a
env
env -u X ls
env X=1 ls
env -S 'ls'
command
command -p ls
exec ls
builtin cd
time -o x ls
bash -c "ls $X"
bash -c 'ls; rm x'
bash -c 'cat <<EOF
$(id)
EOF'
bash -c "bash -c 'bash -c \\"bash -c ls\\"'"
bash -c ls x
bash --rcfile x -c ls
sort -o x a
sort -k -- -o
sort --comp x a
sort * -u
sort -t * a
uniq a b
uniq *
uniq ./*
xxd a*
strings @x
strings *
sort --files0-from=-
file -f list
git show HEAD:.env
find . -name .env -exec cat {} +
find . -name '*.pem'
sed -n '{p;p}' a
sed 'y/a/b/' a
shuf -o x a
base64 -o x a
xxd -r a
xxd a -s
xxd - -n=out
xxd -C - -ps
uniq a -x
file -C -m a
tail -F a
tail --follow=name a
less a
more a
man ls
tree -o x
diff --paginate a b
rg --pre x y
rg -z x
rg -e -- --pre=x
rg x ~/a
fd -x ls
grep x /etc/passwd
grep --color x /etc/passwd
grep -e x y ../a
grep -f /etc/passwd a
hostname x
printf -v x y
printf '%s' $X
echo $X
echo ${HOME:-x}
echo ~root/*
echo /etc/*
cat $HOME/x
cat "$X"
cat *.pem
cat .e?v
cat .git/config
cat secrets.yaml
cat credentials.json
cat <<< $X
cat < ../x
cat 3<> x
ls >&x
ls > $X
pip install x
pip list --log x
go env -w X=1
go build
git
git status --paginate --output=x
git log --output x
git log --ext
git show --textconv
git log --format='%G?'
git log --pretty=format:%GG
git for-each-ref --format='%(signature)'
git grep -Ox y
git grep --open x
git -p log
git -C x log
git branch x
git branch -v x
git branch -D x
git branch -u origin/x
git tag x
git tag -v x
git tag -l -d x
git remote add x y
git remote show origin
git stash
git stash pop
git config a.b c
git config --unset a
git worktree prune
git notes add
git fetch
git ls-remote
git archive HEAD
git hash-object -w a
git $X
git diff *
yes
nc -l 1
tee a
sudo ls
ssh h ls
nohup ls
watch ls
eval ls
source a
. a
trap ls EXIT
alias a=b
""".strip().split("\n")


@pytest.mark.parametrize("line", READS)
def test_a_command_that_only_reads_runs_unasked(line: str) -> None:
    verdict = check_command(line)
    assert (verdict.decision, verdict.read_only) == ("allow", True), verdict.reason


# One text of several lines stands in the list.
_LINES = "\n".join(ASKS).replace("bash -c 'cat <<EOF\n$(id)\nEOF'", "bash -c 'cat <<EOF\\n$(id)\\nEOF'").split("\n")


@pytest.mark.parametrize("line", _LINES)
def test_a_command_that_may_do_more_is_asked_for(line: str) -> None:
    verdict = check_command(line.replace("\\n", "\n"))
    assert (verdict.decision, verdict.read_only) == ("ask", False), verdict.reason


def test_a_script_of_blanks_is_read_at_once() -> None:
    for text in (
        "; " * 400 + "w x",
        "\n" * 900 + "w",
        " " * 900 + "e",
        "1," * 400,
        "s/" + "[" * 500,
        "s/a/" + "b" * 900,
    ):
        assert check_command(f"sed '{text}' a").decision == "ask"
    assert check_command("awk '" + "/a" * 5000 + "' x").decision in ("allow", "ask")
