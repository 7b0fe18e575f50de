package manifests_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/manifests"
)

// bash sources a file with an empty environment and returns the variables.
func bash(t *testing.T, source string) map[string]string {
	t.Helper()
	path, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal("bash is not installed")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "node.env"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), path, "--norc", "--noprofile", "-c", "set -a; . ./node.env; /usr/bin/env -0")
	command.Dir, command.Env = dir, []string{"LC_ALL=C.UTF-8"}
	var complaints bytes.Buffer
	command.Stderr = &complaints
	out, err := command.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("bash: %v %s, of\n%s", err, complaints.String(), source)
	}
	set := map[string]string{}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		name, value, _ := strings.Cut(line, "=")
		if name != "PWD" && name != "SHLVL" && name != "_" && name != "LC_ALL" {
			set[name] = value
		}
	}
	return set
}

// shell reads source as a node's node.env, with unset variables as in bash.
func shell(source string) (map[string]string, error) {
	node, err := manifests.Load(repository(map[string]string{
		"environments/sandbox/config.yml": plainConfig + "interpolation: lenient\n",
		"node.env":                        source,
	}), "sandbox", "node3")
	if err != nil {
		return nil, err
	}
	set := map[string]string{}
	for name, v := range node.Variables {
		if name != "PROJECT_SETTINGS" && !v.Given {
			set[name] = v.Value
		}
	}
	return set, nil
}

func TestShellIsRead(t *testing.T) {
	tests := map[string]string{
		"empty":                  "",
		"comments":               "# one\n   # two\nA=1 # three\nB=1#2\n",
		"no last line end":       "A=1",
		"export":                 "export A=1\nexport B C=2 D=\nB=3\n",
		"export unset":           "export NEVER\n",
		"several on a line":      "A=1 B=$A; C=$B\nA=2 ; B=3;\n",
		"set -a":                 "set -a\nA=1\nset -o allexport\nB=2\n",
		"last wins":              "A=1\nexport A=2\nA=3\n",
		"empty values":           "A=\nB=''\nC=\"\"\nexport D=\n",
		"single quotes":          `A='$X "b" \n # c'`,
		"double quotes":          `X=1` + "\n" + `A="$X '\$X' \"q\" \\ \n \a # c"`,
		"adjacent quotes":        `A=a'b c'"d e"f\ g`,
		"ansi quotes":            `A=$'a\tb\nc\'d\\e\x41\u00e9\101\e[0m\"\?'`,
		"locale quotes":          `A=$"text"`,
		"backslashes":            `A=a\b\\c\$d\"e\'f\ g`,
		"line continued":         "A=a\\\nb\nB=\"c\\\nd\"\nC='e\\\nf'\n",
		"value over lines":       "A=\"one\ntwo\n\"\nB=2\n",
		"blanks at line ends":    "A=1   \nB=2\t\n  C=3\n",
		"variables":              "A=1\nB=$A-x\nC=${A}x\nD=$A$A\nE=\"$A $B\"\nF='$A'\nG=\\$A\n",
		"unset":                  "A=x${NEVER}y$NEVER_2\n",
		"underscore ends":        "A=1\nB=$A_x\nC=$A.x\nD=$A/x\n",
		"defaults":               "E=\nS=s\nA=${N:-d} B=${N-d} C=${E:-d} D=${E-d} F=${S:-d} G=${N:+a} H=${E:+a} I=${E+a} J=${S:+a}\n",
		"nested defaults":        "S=s\nA=${N:-${M:-$S}}\nB=${N:-\"a b\"}\nD=${N:-a b}\nE=\"${N:-\"x\"}\"\n",
		"default not needed":     "S=s\nA=${S:-$N}\n",
		"demanded and set":       "S=s\nA=${S:?must be set}\n",
		"trimmed":                "S=a/b.c/d.tar.gz\nA=${S%.*} B=${S%%.*} C=${S#*/} D=${S##*/} E=${S%x} F=${S#}\n",
		"trimmed by a mark":      "S=2025-12-15-11eeef9e99\nA=${S%-*} B=${S##*-} C=${S#????-}\n",
		"no splitting":           "A='a  b'\nB=$A\nexport C=$A\n",
		"no globs":               "A=*\nB=[a-z]?\nexport C=*\n",
		"no braces":              "A={a,b}\nB={1..3}\nC=a{b\nexport D='{\"a\":{\"b\":1}}'\n",
		"json":                   `A='{"a": ["b", "c"]}'` + "\n" + `B="{\"a\": 1}"`,
		"url":                    "A=postgres://u:p@h:5432/db?sslmode=disable\n",
		"equals and colons":      "A=a=b=c\nB=a:b:c\nC==\n",
		"quoted tilde":           "A='~/x'\nB=\"~\"\nC=a~b\nD=\\~/x\nE=x/~\n",
		"append":                 "A=1\nA+=2\nB+=x\nexport A+=3\n",
		"others":                 "A=a!b\nB=a@b\nC=a%b\nD=a^b\nE=a+b,c\n",
		"unicode":                "A=жук\nB=\"日本\"\n",
		"names":                  "_a=1\nA1_b=2\nHOME=/h\nB=$HOME\n",
		"ampersand in quotes":    `A="a&b;c|d(e)<f>"`,
		"keywords as values":     "A=if\nB=then\nexport C=function\n",
		"trailing backslash":     `A="a\\"` + "\n",
		"carriage return quoted": `A=$'a\rb'` + "\n",
		"nested quotes":          `X=1` + "\n" + `A="a${X:+"b c"}d"` + "\n",
	}
	for name, source := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := shell(source)
			if err != nil {
				t.Fatalf("refused: %v", err)
			}
			if diff := cmp.Diff(bash(t, source), got); diff != "" {
				t.Errorf("of\n%s\n(-bash +read):\n%s", source, diff)
			}
		})
	}
}

func TestShellIsRefused(t *testing.T) {
	tests := map[string]struct{ source, want string }{
		"no name":              {"A=1\n+=[\n", "node.env:2:1: a command is not allowed here"},
		"command":              {"A=1\ngit pull\n", "node.env:2:1: a command is not allowed here"},
		"command with setting": {"A=1 make\n", ":1:5: a command is not allowed here"},
		"source":               {". ./other.env\n", ":1:1: a command is not allowed here"},
		"unset":                {"unset A\n", ":1:1: a command is not allowed here"},
		"set -e":               {"set -e\n", ":1:1: a command is not allowed here"},
		"substitution":         {"A=1\nB=x$(id)\n", ":2:4: command substitution is not allowed"},
		"backticks":            {"A=`id`\n", ":1:3: command substitution is not allowed"},
		"quoted substitution":  {"A=\"x$(id)\"\n", ":1:5: command substitution is not allowed"},
		"in a default":         {"A=${B:-$(id)}\n", ":1:8: command substitution is not allowed"},
		"process substitution": {"A=<(id)\n", ":1:3: process substitution is not allowed"},
		"arithmetic":           {"A=$((1+1))\n", ":1:3: arithmetic is not allowed"},
		"array":                {"A=(1 2)\n", ":1:1: A is set as an array"},
		"element":              {"A[0]=1\n", ":1:1: A is set as an array"},
		"pipe":                 {"A=1 | B=2\n", ":1:1: only assignments"},
		"and":                  {"A=1 && B=2\n", ":1:1: only assignments"},
		"background":           {"A=1 &\n", ":1:1: only assignments"},
		"not":                  {"! A=1\n", ":1:1: only assignments"},
		"redirect":             {"A=1 >x\n", ":1:1: only assignments"},
		"condition":            {"if true; then A=1; fi\n", ":1:1: only assignments"},
		"function":             {"f() { A=1; }\n", ":1:1: only assignments"},
		"block":                {"{ A=1; }\n", ":1:1: only assignments"},
		"subshell":             {"(A=1)\n", ":1:1: only assignments"},
		"readonly":             {"readonly A=1\n", ":1:1: readonly is not allowed"},
		"declare":              {"declare -x A=1\n", ":1:1: declare is not allowed"},
		"export -n":            {"export -n A\n", ":1:8: only names and assignments are allowed after export"},
		"export quoted":        {"export \"A=1\"\n", ":1:8: only names and assignments are allowed after export"},
		"export braces":        {"export A={a,b}\n", ":1:10: bash expands the braces"},
		"tilde":                {"A=~/x\n", ":1:3: ~ means a home directory"},
		"tilde in a path":      {"A=/bin:~/bin\n", ":1:3: ~ means a home directory"},
		"special":              {"A=$$\n", ":1:3: special and positional parameters"},
		"positional":           {"A=$1\n", ":1:3: special and positional parameters"},
		"random":               {"A=$RANDOM\n", ":1:3: the variable RANDOM is reserved by bash"},
		"reserved":             {"UID=5\n", ":1:1: the variable UID is reserved by bash"},
		"assigning default":    {"A=${B:=c}\n", ":1:3: this form of ${…} is not allowed"},
		"replacing":            {"A=${B/x/y}\n", ":1:3: this form of ${…} is not allowed"},
		"indirect":             {"A=${!B}\n", ":1:3: this form of ${…} is not allowed"},
		"odd escape":           {`A=$'\cA'`, ":1:3: $'…' has an unknown escape"},
		"demanded":             {"A=${B:?canary}\n", ":1:3: the variable B must be set here"},
		"length":               {"A=${#B}\n", ":1:3: this form of ${…} is not allowed"},
		"quotes in a default":  {"A=\"${B:-'q'}\"\n", ":1:9: single quotes have no effect here"},
		"export --":            {"export -- A=1\n", ":1:8: only names and assignments are allowed after export"},
		"quote left open":      {"A=1\nB=\"x\n", ":2:3: the file is not valid shell syntax: reached EOF without closing quote"},
		"spaces":               {"A = 1\n", ":1:1: a command is not allowed here"},
		"space after":          {"A= 1\n", ":1:4: a command is not allowed here"},
		"carriage returns":     {"A=1\nB=2\r\n", ":2:4: a carriage return would become part of the value"},
		"byte order mark":      {"\ufeffA=1\n", ":1:1: the file starts with a byte order mark"},
		"no text":              {"A=1\nB=\xff\n", ":2: the line is not UTF-8 text"},
		"no text by escape":    {`A=$'\xff'`, ":1:1: the value of A is not UTF-8 text"},
		"nul":                  {"A=a\x00b\n", ":1: the line is not UTF-8 text"},
		"doubling":             {"A=abcdefgh\n" + strings.Repeat("A=$A$A\n", 60), ":16:5: the value is longer than 131072 bytes"},
		"long pattern":         {"A=1\nB=${A%" + strings.Repeat("x", 101) + "}\n", ":2:3: only a short pattern"},
		"long value to cut":    {"A=" + strings.Repeat("x", 5000) + "\nB=${A%x}\n", ":2:3: the value of A is too long to cut"},
		"quoted pattern":       {"A=1\nB=${A%\"1\"}\n", ":2:3: only a short pattern"},
		"settings":             {"PROJECT_SETTINGS=other.env\n", ":1:1: the agent sets PROJECT_SETTINGS"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := shell(test.source)
			wantFault(t, err, test.want)
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the fault quotes the file: %v", err)
			}
		})
	}
}

func TestShellStrict(t *testing.T) {
	_, err := manifests.Load(repository(map[string]string{"node.env": "A=1\nB=$A$NOBODY\nC=$B\n"}), "sandbox", "node3")
	want := "environments/sandbox/nodes/node3/node.env:2:5: the variable NOBODY is not set"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want just %s", err, want)
	}
}

func TestShellEnvironment(t *testing.T) {
	t.Setenv("CANARY", "leaked")
	for _, name := range []string{"CANARY", "HOME", "PATH", "PWD"} {
		got, err := shell("A=x${" + name + ":-}\n")
		if err != nil || got["A"] != "x" {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
}

// TestShellRandom compares the reader with bash on random files.
func TestShellRandom(t *testing.T) {
	const rounds = 300
	random := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for range rounds {
		source := randomShell(random)
		got, err := shell(source)
		if err != nil {
			refused++
			continue
		}
		if diff := cmp.Diff(bash(t, source), got); diff != "" {
			t.Fatalf("of\n%s\n(-bash +read):\n%s", source, diff)
		}
	}
	if refused > rounds/4 {
		t.Errorf("%d of %d files refused", refused, rounds)
	}
}

func randomShell(random *rand.Rand) string {
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	name := func() string { return pick("A", "B", "C", "D_1", "_e") }
	var word func(depth int) string
	word = func(depth int) string {
		var b strings.Builder
		for range random.IntN(4) {
			b.WriteString(pick("a", "-x", `\$`, `\ `, `\\`, "'s $A \\'", `"d \" \\ \a"`, `$'t\t\''`, ".", "/", ":", "=", "#", "{", "}", "[a]", "*", "?", "!", "x~", "é", ","))
			if depth == 0 {
				continue
			}
			switch random.IntN(4) {
			case 0:
				b.WriteString("$" + name())
			case 1:
				fmt.Fprintf(&b, "${%s%s%s}", name(), pick(":-", "-", ":+", "+"), word(depth-1))
			case 2:
				fmt.Fprintf(&b, `"%s ${%s%sq $%s}"`, name(), name(), pick(":-", ":+"), name())
			case 3:
				fmt.Fprintf(&b, "${%s%s%s}", name(), pick("#", "##", "%", "%%"), pick("a", "*", "?", "*-", "x*", ".", ""))
			}
		}
		return b.String()
	}
	var b strings.Builder
	for range 1 + random.IntN(6) {
		fmt.Fprintf(&b, "%s%s%s%s%s", pick("", "", "export ", "  "), name(), pick("=", "=", "+="), word(2), pick("\n", "\n", " # c\n", ";\n", " "+name()+"=2\n"))
	}
	return b.String()
}
