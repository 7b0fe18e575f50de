package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// copyKey brings the sandbox's test key where only its owner may read it: the
// agent refuses one that others can read, as they can after a clone.
func (w *world) copyKey() error {
	key, err := os.ReadFile(filepath.Join(w.root, "examples/keys", environment+".agekey"))
	if err != nil {
		return fmt.Errorf("copy the key of %s: %w", environment, err)
	}
	return w.write("age.key", string(key))
}

// settings writes the agent's settings and the files that they name.
func (w *world) settings() (string, error) {
	if err := w.copyKey(); err != nil {
		return "", err
	}
	metrics, err := freeAddress()
	if err != nil {
		return "", err
	}
	if err := w.write("token", token+"\n"); err != nil {
		return "", err
	}
	text := fmt.Sprintf(`environment: %s
node: %s
repository: %s/%s
branch: master
git_token_file: %s
age_key_files: [%s]
engine: %s
state_dir: %s
socket: %s
listen: %s # metrics and health
interval: 2s
gitlab_url: %s
gitlab_project: %s
gitlab_token_file: %s
slack_webhook_file: %s
`, environment, node, w.gitlab.url, project, w.path("token"), w.path("age.key"), w.engine.Host, w.path("state"),
		w.path("agent.sock"), metrics, w.gitlab.url, project, w.path("token"), w.path("webhook"))
	w.metrics = "http://" + metrics
	return text, w.write("agent.yml", text)
}

// freeAddress finds a loopback port that nobody uses.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}

// summary says what was seen and how long it took.
func (w *world) summary() {
	w.say.line("\n%s\n", w.say.paint(green, "Done: the node is what the repository says."))
	w.say.note("all", time.Since(w.say.begun))
	w.say.table(w.say.times)
}

// lookAround says how to play with what runs.
func (w *world) lookAround() {
	w.say.line(`
Everything runs on until Ctrl-C. To look around, in another terminal (as root):

  export COIN_AGENT_CONFIG=%s PATH=%s:$PATH
  agent status --watch       what should run, what runs, what is being done
  agent doctor               what the agent depends on
  agent render               what the repository says, as one compose file
  tail -f %s
  curl %s/metrics

  export DOCKER_HOST=%s
  docker service ls          (apt-get install docker-cli, where docker is missing)
  docker tag OLD NEW         a new release needs its images here

To change something, push to master (the stack is in %s);
%s/ shows the statuses in a browser:

  git clone %s
`,
		w.path("agent.yml"), w.path("bin"), w.path("agent.log"), w.metrics, w.engine.Host,
		nodeDir, w.gitlab.url, w.gitlab.cloneURL())
}
