package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/examples/local"
	"coin.internal/coin-agent/internal/demoimage"
)

// The environments of the release chapters, and their nodes.
const (
	testEnv = "testing"
	prodEnv = "production"
)

var (
	testingNodes    = []string{"test1", "test2"}          //nolint:gochecknoglobals // a constant list
	productionNodes = []string{"prod1", "prod2", "prod3"} //nolint:gochecknoglobals // a constant list
)

// estate is two environments, whose five nodes have an agent each, on one engine. What is merged
// is in its repository; Ada works in a clone of it.
type estate struct {
	world  *world // its folder, git server and GitLab
	clone  *local.Repository
	agents map[string]*local.Process
	apis   map[string]string // the addresses of production's agents
	merged int64             // the number of the last merge request that was merged
	told   map[string]bool   // the commits that GitLab knows
}

// newEstate makes the repository with the first release on all nodes, and serves it.
func newEstate(ctx context.Context, of *world) (*estate, error) {
	e := &estate{agents: map[string]*local.Process{}, apis: map[string]string{}, told: map[string]bool{}, world: &world{say: of.say, root: of.root, dir: of.path("estate"), engine: of.engine, api: of.api}}
	if err := os.MkdirAll(e.world.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the estate: %w", err)
	}
	of.cleanUp.Later("stop the five agents and their GitLab", e.world.cleanUp.Run)
	repo, err := local.NewRepository(ctx, e.world.path("git/"+local.Project), "master")
	if err != nil {
		return nil, err
	}
	e.world.repo = repo
	if _, err := repo.Commit(ctx, "Add the COIN stacks", firstFiles()); err != nil {
		return nil, err
	}
	if err := e.world.startGitLab(ctx, e.world.path("git")); err != nil {
		return nil, err
	}
	images := []string{"coin/core:" + firstRelease, "coin/core:" + secondRelease}
	return e, errors.Join(demoimage.Import(ctx, of.api, images), e.cloneRepository(ctx))
}

// releaseCompose is the compose file that the images of both releases bring.
func releaseCompose(release string) string {
	more := ""
	if release == secondRelease {
		more = "\n      CACHE_TTL: 60s"
	}
	return `services:
  core:
    image: coin/core:$TAG
    environment:
      APP_RELEASE: $TAG` + more + `
    stop_grace_period: 1s
    healthcheck: {test: ["CMD", "/app", "health"], interval: 2s, timeout: 20s, retries: 3}
    deploy: {endpoint_mode: dnsrr, update_config: {monitor: 500ms}}
`
}

// firstFiles are the files of the repository at the first release.
func firstFiles() map[string]string {
	files := map[string]string{}
	for environment, names := range map[string][]string{testEnv: testingNodes, prodEnv: productionNodes} {
		config := fmt.Sprintf("environment: {name: %s, type: %s}\nbase: {registry: coin/core}\nnodes:\n", environment, map[bool]string{true: "production", false: "non-production"}[environment == prodEnv])
		for _, name := range names {
			dir := "environments/" + environment + "/nodes/" + name + "/"
			config += fmt.Sprintf("  - {name: %s, context: %s, stack: %s}\n", name, name, name)
			files[dir+"node.env"] = "export TAG=" + firstRelease + "\nexport RELEASE_VERSION=25.22\n"
			files[dir+"docker-compose.yml"] = releaseCompose(firstRelease)
		}
		config += "deployment: {strategy: sequential, health_check: {timeout: 2m}, gates: {images: false}}\nimages: {resolve: never, missing: warn}\n"
		if environment == prodEnv {
			config += "approval: {required: true, approvers: [bob], change_advisory_board: true, board: {members: [dan]}}\n" +
				"promote: {prod3: test1}\n"
		}
		files["environments/"+environment+"/config.yml"] = config
	}
	return files
}

// cloneRepository makes Ada's working copy, and the settings of her commands.
func (e *estate) cloneRepository(ctx context.Context) error {
	e.clone = &local.Repository{Dir: e.world.path("clone")}
	if _, err := e.world.repo.Git(ctx, "clone", "--quiet", e.world.cloneURL(), e.clone.Dir); err != nil {
		return err
	}
	for _, setting := range [][2]string{{"user.name", "Ada Engineer"}, {"user.email", "ada@coin.example"}} {
		if _, err := e.clone.Git(ctx, "config", setting[0], setting[1]); err != nil {
			return err
		}
	}
	return errors.Join(e.world.write("token", local.Token+"\n"), e.writeAPIs(), e.world.write("ada.yml", e.shared()+"ca_file: "+e.world.path(apiCert)+"\n"))
}

// shared are the settings that all have.
func (e *estate) shared() string {
	return fmt.Sprintf("repository: %s\nbranch: master\ngit_token_file: %s\ngitlab_url: %s\ngitlab_project: %s\ngitlab_token_file: %s\n",
		e.world.gitlab.Clone(), e.world.path("token"), e.world.gitlab.URL, local.Project, e.world.path("token"))
}

// start starts the agents of the nodes.
func (e *estate) start() error {
	for environment, names := range map[string][]string{testEnv: testingNodes, prodEnv: productionNodes} {
		for _, name := range names {
			text := e.shared() + fmt.Sprintf("environment: %s\nnode: %s\nengine: %s\nstate_dir: %s\nsocket: %s\nlisten: \"\"\ninterval: 2s\n",
				environment, name, e.world.engine.Host, e.world.path(name), e.world.path(name+".sock"))
			if environment == prodEnv { // there it must have one
				api, err := e.apiSettings(name)
				if err != nil {
					return err
				}
				text += "policy: {environment: {type: production}}\n" + api
			}
			if err := e.world.write(name+".yml", text); err != nil {
				return err
			}
			if err := e.startAgent(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// startAgent starts the agent of a node.
func (e *estate) startAgent(name string) (err error) {
	e.agents[name], err = e.world.startDaemon(name, e.program())
	return err
}

// program is the agent that the demo has built.
func (e *estate) program() string { return filepath.Join(filepath.Dir(e.world.dir), "bin/agent") }

// succeeded waits until GitLab has the success of a commit from each of the nodes. It prints the
// nodes whose status changes.
func (e *estate) succeeded(ctx context.Context, environment, commit string, names []string) error {
	last := map[string]string{}
	return e.until(ctx, "the rollout of "+record.Short(commit)+" in "+environment, func() (string, bool, error) {
		states, why := map[string]string{}, map[string]string{}
		for _, post := range e.world.gitlab.Statuses(commit).Posts {
			name := strings.TrimPrefix(post.Name, "coin-agent/"+environment+"/")
			states[name], why[name] = post.State, post.Description
		}
		said, done := []string{}, true
		for _, name := range names {
			if states[name] == "failed" {
				return "", false, fmt.Errorf("%s failed with %s: %s", name, record.Short(commit), why[name])
			}
			text := name + " " + states[name]
			if states[name] == "pending" {
				reason, _, _ := strings.Cut(why[name], "; ")
				text += " (" + reason + ")"
			}
			if states[name] != "" && text != last[name] {
				said, last[name] = append(said, text), text
			}
			done = done && states[name] == "success"
		}
		return strings.Join(said, ", "), done, nil
	})
}

// until waits for a condition, and prints what it says, each time that is something new.
func (e *estate) until(ctx context.Context, what string, condition func() (said string, done bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, followLimit)
	defer cancel()
	tick, started, last := time.NewTicker(follow), time.Now(), ""
	defer tick.Stop()
	for {
		said, done, err := condition()
		if said != "" && said != last {
			e.world.say.progress(started, said)
			last = said
		}
		if err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		case <-tick.C:
		}
	}
}
