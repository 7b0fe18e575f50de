package main

import (
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/sopstest"
)

const examples = "../../examples/"

// exampleNames is held by the test whose stack has the example's own secrets: their
// names are the same in every stack.
var exampleNames sync.Mutex

// newExampleLab is a lab for the example as it is, one at a time.
func newExampleLab(t *testing.T) *lab {
	t.Helper()
	exampleNames.Lock()
	t.Cleanup(exampleNames.Unlock)
	return newLab(t)
}

// exampleRepo is the example repository with this lab's stack name and engine, and
// without its database.
func (l *lab) exampleRepo() map[string]string {
	l.t.Helper()
	files := map[string]string{}
	repository := os.DirFS(examples + "coin-gitops")
	err := fs.WalkDir(repository, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(repository, path)
		files[path] = string(content)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.edit(files, "environments/sandbox/config.yml", "stack: sbxapp3", "stack: "+l.stack)
	l.edit(files, "environments/sandbox/config.yml", "migration_check:\n    enabled: true", "migration_check:\n    enabled: false") // no database here
	l.edit(files, node3+"node.env", "DOCKER_SOCKET=/var/run/docker.sock", "DOCKER_SOCKET="+strings.TrimPrefix(l.swarm.Host, "unix://"))
	return files
}

// edit changes one text in one of files, which must be there.
func (l *lab) edit(files map[string]string, name, old, text string) {
	l.t.Helper()
	if !strings.Contains(files[name], old) {
		l.t.Fatalf("%s has no %q", name, old)
	}
	files[name] = strings.Replace(files[name], old, text, 1)
}

// exampleKey takes over the example's age key: anybody can read it in the
// repository, so the agent would not take it from there.
func (l *lab) exampleKey() sopstest.Key {
	l.t.Helper()
	content, err := os.ReadFile(examples + "keys/sandbox.agekey")
	if err != nil {
		l.t.Fatal(err)
	}
	identities, err := age.ParseIdentities(strings.NewReader(string(content)))
	if err != nil {
		l.t.Fatal(err)
	}
	l.settings["age_key_files"] = l.file("sandbox.agekey", string(content))
	identity := identities[0].(*age.X25519Identity)
	return sopstest.Key{Identity: identity.String(), Recipient: identity.Recipient().String()}
}

// rendered renders the committed repository in this process.
func (l *lab) rendered() *compose.Stack {
	l.t.Helper()
	wanted := &app{settings: settings.Default()}
	wanted.settings.Environment, wanted.settings.Node, wanted.settings.AgeKeyFiles = "sandbox", "node3", []string{l.settings["age_key_files"]}
	stack, err := desired.Render(l.t.Context(), os.DirFS(l.repo.Dir), wanted.nodeOptions())
	if err != nil {
		l.t.Fatal(err)
	}
	return stack
}

// imagesOf lists the images of a stack.
func imagesOf(stack *compose.Stack) []string {
	var images []string
	for _, spec := range stack.Services {
		images = append(images, spec.TaskTemplate.ContainerSpec.Image)
	}
	slices.Sort(images)
	return slices.Compact(images)
}

// raised is a new version and value of webhook.auth.
var raised = map[string]string{"SV_webhook_auth": "2", "webhook.auth": "version: 2\nmade up for the test\n"}

// override is secrets.override.enc as the example has it, with more.
func override(t *testing.T, key sopstest.Key, stack *compose.Stack, more ...map[string]string) string {
	t.Helper()
	values := map[string]string{
		"SV_card_iv": "1", "SV_db_access": "2", "SV_server_admin_crt": "1", "SV_server_admin_key": "1", "SV_webhook_auth": "1",
	}
	for _, secret := range stack.Secrets {
		if name := strings.ToUpper(secret.Key); slices.Contains([]string{"API_KEY", "DATABASE_PASSWORD", "JWT_SECRET"}, name) {
			values[name] = string(secret.Value.Reveal())
		}
	}
	for _, these := range more {
		maps.Copy(values, these)
	}
	return sopstest.YAML(t, key, values)
}

// TestExample rolls out the example's node in full, under the policy that is suggested for
// it: what an engineer sees first.
func TestExample(t *testing.T) {
	t.Parallel()
	l := newExampleLab(t)
	l.settings["interval"] = "2s"
	key, files := l.exampleKey(), l.exampleRepo()
	first := l.commit("first", files)

	specs := l.mustRun(exitDone, nil, "render", "-o", "specs")
	if again := l.mustRun(exitDone, nil, "render", "-o", "specs"); again != specs {
		t.Errorf("two renderings differ:\n%s", cmp.Diff(specs, again))
	}
	if offline := l.mustRun(exitDone, nil, "render", "-o", "specs", "--repo", l.repo.Dir); offline != specs {
		t.Errorf("a folder renders otherwise than the remote:\n%s", cmp.Diff(specs, offline))
	}
	l.mustRun(exitDone, []string{"0 with problems"}, "check", l.repo.Dir)
	l.mustRun(exitDifferent, []string{"create     service " + l.stack + "_admin_api"}, "diff")

	stack := l.rendered()
	l.swarm.Image(t, imagesOf(stack)...)
	l.mappings = l.mustRun(exitDone, []string{"strict: true"}, "policy", "suggest", "--repo", l.repo.Dir)
	l.running(first)
	l.step("everything is up", func() {
		l.mustRun(exitDone, []string{"no difference"}, "diff")
		if out := l.mustRun(exitDone, []string{"in sync"}, "status"); strings.Contains(out, "not running") {
			l.t.Errorf("the status of a good stack:\n%s", out)
		}
		status := l.looks(1)
		if len(status.Services) != len(stack.Services) {
			l.t.Errorf("%d services, want %d", len(status.Services), len(stack.Services))
		}
		for _, service := range status.Services {
			ends := strings.HasSuffix(service.Name, "_migrate") || strings.HasSuffix(service.Name, "_task_template")
			if !ends && (service.Desired == 0 || service.Running != service.Desired) {
				l.t.Errorf("%s: %d of %d tasks run", service.Name, service.Running, service.Desired)
			}
		}
		migrations := l.swarm.Tasks(l.t, l.stack+"_migrate")
		if len(migrations) != 1 || migrations[0].Status.ContainerStatus.ExitCode != 0 || migrations[0].Status.State != "complete" {
			l.t.Errorf("migrate ran %d times: %+v", len(migrations), migrations[0].Status)
		}
	})
	l.step("a second sync writes nothing", func() {
		before := l.tasks()
		l.recorder.Reset()
		l.mustRun(exitDone, []string{"nothing to change"}, "sync", "--wait")
		if writes := l.recorder.Writes(); len(writes) > 0 {
			l.t.Errorf("it wrote: %v", writes)
		}
		if diff := cmp.Diff(before, l.tasks()); diff != "" {
			l.t.Errorf("it restarted tasks:\n%s", diff)
		}
	})
	l.step("a raised secret updates its users", func() {
		before, had := l.versions(), l.secrets()
		renewed := l.commit("renew webhook.auth", map[string]string{node3 + "secrets.override.enc": override(l.t, key, stack, raised)})
		l.await(renewed, record.Succeeded)
		if diff := cmp.Diff([]string{"cron_service", "partner_api", "webhook_api"}, changed(before, l.versions())); diff != "" {
			l.t.Errorf("updated services: %s", diff)
		}
		made := slices.DeleteFunc(l.secrets(), func(name string) bool { return slices.Contains(had, name) })
		if diff := cmp.Diff([]string{"webhook.auth.2"}, made); diff != "" {
			l.t.Errorf("new secrets: %s", diff)
		}
	})
	l.step("a service that is gone is removed", func() {
		before := l.tasks()
		removed := l.commit("close the test shop", map[string]string{node3 + "docker-compose-testshop.yaml": ""})
		l.await(removed, record.Succeeded)
		delete(before, "testshop")
		delete(before, "cron_service") // stopped and started around every rollout
		after := l.tasks()
		delete(after, "cron_service")
		if diff := cmp.Diff(before, after); diff != "" {
			l.t.Errorf("tasks: %s", diff)
		}
	})
}
