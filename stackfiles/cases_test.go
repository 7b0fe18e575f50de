package stackfiles_test

import (
	"maps"

	"coin.internal/coin-agent/stackfiles"
)

// scriptCase is a folder and flags that the old script and the agent get.
type scriptCase struct {
	name  string
	files map[string]string // over those of the folder that all cases have
	flags func(f *stackfiles.Flags)

	differs []string // what the agent makes otherwise; nil for nothing
	reason  string   // of the differences
}

// compose makes a compose file of one service, with more keys of the service.
func compose(image string, more string) string {
	return "version: '3.8'\nservices:\n  app:\n    image: " + image + "\n" + more
}

func environment(lines string) string {
	return compose("registry.invalid/app:1", "    environment:\n"+lines)
}

// base is the folder that all cases have.
func base(more map[string]string) map[string]string {
	files := map[string]string{
		"node.env": "export TAG=1.0\n", "project.env": "A=1\n",
		"docker-compose.yml": compose("registry.invalid/app:$TAG", "    env_file: [$PROJECT_SETTINGS]\n"),
	}
	maps.Copy(files, more)
	return files
}

const exported = "the agent reads every assignment, exported or not"

func nodeCases() []scriptCase {
	return []scriptCase{
		{name: "one file of each flag"},
		{
			name:  "the file named by -n, then -N over it",
			files: map[string]string{"node-a.env": "export TAG=0\nexport X=first\n", "docker-compose.yml": compose("registry.invalid/app:$TAG", "    environment: {X: $X}\n")},
			flags: func(f *stackfiles.Flags) { f.Node = "node-a" },
		},
		{name: "-n without a file of that name", flags: func(f *stackfiles.Flags) { f.Node = "node-b" }},
		{
			name:  "the order of several -N",
			files: map[string]string{"more.env": "export TAG=2.0\nexport X=$TAG-x\n", "docker-compose.yml": compose("registry.invalid/app:$TAG", "    environment: {X: $X}\n")},
			flags: func(f *stackfiles.Flags) { f.Nodes = []string{"node.env", "more.env"} },
		},
		{
			name: "quotes, comments, continued lines and defaults in -N",
			files: map[string]string{
				"node.env":           "export TAG=1.0 # the release\nexport A='a b'\"c\"\\ d\nexport B=${NONE:-b}${TAG}\nexport C=one\\\ntwo\n#export D=d\nexport E=\"$A\"\n",
				"docker-compose.yml": environment("      A: $A\n      B: $B\n      C: $C\n      E: $E\n"),
			},
		},
		{
			name:    "an assignment in -N without export",
			files:   map[string]string{"node.env": "export TAG=1.0\nX=x\n", "docker-compose.yml": environment("      X: $X\n")},
			differs: []string{`Env.X: script "", agent "x"`}, reason: exported,
		},
		{
			name:  "set -a in -N",
			files: map[string]string{"node.env": "set -a\nTAG=1.0\nX=x\nset +a\n", "docker-compose.yml": environment("      X: $X\n")},
		},
		{
			name:  "the variables NODE_NAME and STACK_NAME in -N",
			files: map[string]string{"node.env": "export TAG=1.0\nexport X=$NODE_NAME-$STACK_NAME\n", "docker-compose.yml": environment("      X: $X\n")},
			flags: func(f *stackfiles.Flags) { f.Node = "node-b" },
		},
		{
			name:    "STACK_NAME in a compose file",
			files:   map[string]string{"docker-compose.yml": environment("      X: $STACK_NAME\n")},
			differs: []string{`Env.X: script "", agent "coin"`}, reason: "the agent gives $NODE_NAME and $STACK_NAME to the compose files, too",
		},
		{
			name:    "a command in -N",
			files:   map[string]string{"node.env": "export TAG=$(echo 1.0)\n"},
			differs: []string{`fails: script none, agent "node.env:1:12: command substitution is not allowed: this file is not run"`}, reason: "the agent runs no file",
		},
		{
			name:  "a path with a folder",
			files: map[string]string{"env/node.env": "export TAG=3.0\n", "env/project.env": "A=3\n"},
			flags: func(f *stackfiles.Flags) {
				f.Nodes, f.Project = []string{"env/node.env"}, []string{"./env/project.env"}
			},
		},
		{
			name:    "a file name with a space",
			files:   map[string]string{"my project.env": "A=2\n"}, // the script reads my and project.env
			flags:   func(f *stackfiles.Flags) { f.Project = []string{"my project.env"} },
			differs: []string{`Env.A: script "1", agent "2"`}, reason: "the script reads the words of a name as several files",
		},
		{
			name:    "a missing file of -P",
			flags:   func(f *stackfiles.Flags) { f.Project = []string{"project.env", "none.env"} },
			differs: []string{`fails: script none, agent "none.env: the file of -P is missing"`}, reason: "the script goes on without the file",
		},
		{
			name:  "a variable that is not set",
			files: map[string]string{"docker-compose.yml": environment("      X: \"[$NOWHERE]\"\n")},
		},
		{
			name:  "several -f",
			files: map[string]string{"extra.yml": "version: '3.8'\nservices:\n  app: {environment: {X: \"2\"}, ports: [\"80:80\"]}\n", "docker-compose.yml": compose("registry.invalid/app:$TAG", "    environment: {X: 1}\n    ports: [\"81:80\"]\n")},
			flags: func(f *stackfiles.Flags) { f.Compose = append(f.Compose, "extra.yml") },
		},
		{
			name:    "a compose file in another folder",
			files:   map[string]string{"coin/docker-compose.yml": compose("registry.invalid/app:$TAG", "    env_file: [$PROJECT_SETTINGS]\n    volumes: [\"./data:/data\"]\n")},
			flags:   func(f *stackfiles.Flags) { f.Compose = []string{"coin/docker-compose.yml"} },
			differs: []string{`fails: script "docker stack deploy fails", agent none`}, reason: "the script writes the derived files into the current folder, and docker looks for them beside the compose file",
		},
	}
}
