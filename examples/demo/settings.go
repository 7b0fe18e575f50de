package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"coin.internal/coin-agent/examples/local"
)

// copyKey copies the sandbox's test key to a file that only its owner can read. After
// a clone, other users can read the key, and the agent refuses it.
func (w *world) copyKey() error {
	key, err := os.ReadFile(filepath.Join(w.root, "examples/keys", environment+".agekey"))
	if err != nil {
		return fmt.Errorf("copy the key of %s: %w", environment, err)
	}
	return w.write("age.key", string(key))
}

// settings writes and returns the agent's settings, and writes the files that they
// name.
func (w *world) settings() (string, error) {
	if err := w.copyKey(); err != nil {
		return "", err
	}
	metrics, err := local.FreeAddress()
	if err != nil {
		return "", err
	}
	if err := w.write("token", local.Token+"\n"); err != nil {
		return "", err
	}
	text := fmt.Sprintf(`environment: %s
node: %s
repository: %s
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
`, environment, node, w.gitlab.Clone(), w.path("token"), w.path("age.key"), w.engine.Host, w.path("state"),
		w.path("agent.sock"), metrics, w.gitlab.URL, local.Project, w.path("token"), w.path("webhook"))
	w.metrics = "http://" + metrics
	return text, w.write("agent.yml", text)
}

// summary prints the duration of each step.
func (w *world) summary() {
	w.say.line("\n%s\n", w.say.paint(green, "Done: the node is in sync with the repository."))
	w.say.note("all", time.Since(w.say.begun))
	w.say.table(w.say.times)
}

// lookAround prints how to inspect and change the running demo.
func (w *world) lookAround() {
	w.say.line(`
Everything keeps running until Ctrl-C. To inspect it, in another terminal (as root):

  export COIN_AGENT_CONFIG=%s PATH=%s:$PATH
  agent status --watch       the desired state, the actual state, and the progress
    agent doctor               checks of everything that the agent depends on
    agent render               the stack in the repository, as one compose file
  tail -f %s
  curl %s/metrics

  export DOCKER_HOST=%s
  docker service ls          (if docker is missing: apt-get install docker-cli)
    docker tag OLD NEW         makes an image available for a new release

To change something, push to master (the stack is in %s);
%s/ shows the statuses in a browser:

  git clone %s
`,
		w.path("agent.yml"), w.path("bin"), w.path("agent.log"), w.metrics, w.engine.Host,
		nodeDir, w.gitlab.URL, w.cloneURL())
}
