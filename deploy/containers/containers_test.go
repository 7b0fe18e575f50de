package containers_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/api/types/volume"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy/containers"
	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
	"coin.internal/coin-agent/stackfiles"
)

func TestMain(m *testing.M) { os.Exit(swarmtest.Main(m)) }

const canary = "canary-81c2aa"

const composeFile = `version: "3.8"
services:
  web:
    image: coin/app:1
    environment: {SERVICE_NAME: web, LISTEN_PORTS: "8080"}
    depends_on: {migrate: {condition: service_completed_successfully}, db: {condition: service_healthy}}
    networks: {issuing: {aliases: [front]}}
    secrets: [{source: db_access, target: db_access, uid: "1000", gid: "1000", mode: 0400}]
    configs: [{source: nginx, target: /etc/nginx.conf}]
    volumes: [data:/data]
    ports: ["18099:8080"]
    stop_grace_period: 1s
    deploy: {replicas: 2, placement: {constraints: [node.role == manager]}, resources: {limits: {memory: 64M}}}
  db:
    image: coin/app:1
    networks: [issuing]
    healthcheck: {test: [CMD, /app, health], interval: 1s, retries: 30}
    stop_grace_period: 1s
  migrate:
    image: coin/app:1
    command: [/job.sh, migrate]
    networks: [issuing]
    deploy: {restart_policy: {condition: none}}
networks:
  issuing: {driver: overlay, attachable: true}
volumes:
  data: {}
secrets:
  db_access: {file: ./db_access, name: db_access.1}
configs:
  nginx: {file: ./nginx.conf}
`

// lab is a folder of files, and a stack of it on the test's engine.
type lab struct {
	t       *testing.T
	engine  *swarmtest.Swarm
	dir     string
	options containers.Options
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, engine: swarmtest.Engine(t), dir: t.TempDir()}
	l.engine.Image(t, "coin/app:1")
	memory, err := os.MkdirTemp("/dev/shm", "coin-agent-test-*") //nolint:usetesting // secrets need a tmpfs
	if err != nil {
		t.Fatal(err)
	}
	l.options = containers.Options{API: l.engine.API, Files: memory, Timeout: 5 * time.Minute}
	l.write("docker-compose.yml", composeFile)
	l.write("db_access", canary)
	l.write("nginx.conf", "events {}\n")
	l.options.Stack = &compose.Stack{Name: fmt.Sprintf("run%d%s", os.Getpid(), strings.ToLower(t.Name()))} // Stop at the end removes what has it
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Minute)
		defer cancel()
		if _, err := containers.Stop(ctx, l.options, true); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(memory); err != nil {
			t.Error(err)
		}
	})
	return l
}

func (l *lab) write(name, text string) {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, name), []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// run renders the files and runs them. It gives the warnings and what was done.
func (l *lab) run() (warnings, lines []string) {
	l.t.Helper()
	files, err := stackfiles.Read(l.t.Context(), stackfiles.Flags{Stack: l.options.Stack.Name, Compose: []string{"docker-compose.yml"}}, stackfiles.Options{Dir: l.dir})
	if err != nil {
		l.t.Fatal(err)
	}
	defer files.Wipe()
	options := l.options
	options.Stack = files.Stack
	options.Progress = func(line string) { lines = append(lines, strings.ReplaceAll(line, options.Stack.Name, "STACK")) }
	warnings, _, err = containers.Run(l.t.Context(), options)
	if err != nil {
		l.t.Fatalf("%v\nhint: %s\n%s", err, fault.Hint(err), strings.Join(lines, "\n"))
	}
	return warnings, lines
}

// inspect gives one of the stack's containers.
func (l *lab) inspect(name string) container.InspectResponse {
	l.t.Helper()
	found, err := l.engine.API.ContainerInspect(l.t.Context(), l.options.Stack.Name+"_"+name)
	if err != nil {
		l.t.Fatal(err)
	}
	return found
}

// One run makes all in order, a second one nothing, a third one what changed; and Stop removes
// exactly that.
func TestRunAndStop(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	name := l.options.Stack.Name
	foreign := l.foreign()
	warnings, lines := l.run()
	if diff := cmp.Diff([]string{
		"created network STACK_issuing", "created volume STACK_data",
		"started STACK_db.1", "started STACK_migrate.1", "started STACK_web.1", "started STACK_web.2",
	}, lines); diff != "" {
		t.Error(diff)
	}
	for _, want := range []string{"placement has no effect", "only its first container has the published ports", "no virtual address"} {
		if !slices.ContainsFunc(warnings, func(one string) bool {
			return strings.Contains(one, "service "+name+"_web: ") && strings.Contains(one, want)
		}) {
			t.Errorf("no warning %q in %q", want, warnings)
		}
	}
	l.wantWeb()
	if _, lines := l.run(); len(lines) > 0 {
		t.Errorf("the second run did %q", lines)
	}
	kept := l.inspect("db.1").ID
	l.write("docker-compose.yml", strings.NewReplacer("replicas: 2", "replicas: 1", "SERVICE_NAME: web,", "SERVICE_NAME: shop,").Replace(composeFile))
	if _, lines := l.run(); !slices.Equal(lines, []string{"removed STACK_web.1, which differs", "started STACK_web.1", "removed STACK_web.2"}) {
		t.Errorf("the third run did %q", lines)
	}
	l.write("db_access", canary+"-another")
	if _, lines := l.run(); !slices.Equal(lines, []string{"removed STACK_web.1, which differs", "started STACK_web.1"}) {
		t.Errorf("with a new secret the run did %q", lines)
	}
	if l.inspect("db.1").ID != kept {
		t.Error("a container that did not change was replaced")
	}
	if removed, err := containers.Stop(t.Context(), l.options, false); err != nil || removed != 4 {
		t.Errorf("stop: %d, %v", removed, err)
	}
	l.wantLeft(foreign)
	if entries, err := os.ReadDir(filepath.Join(l.options.Files, name)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("files of secrets are left: %v, %v", entries, err)
	}
}

// foreign makes a container in the stack's project that is not of the command.
func (l *lab) foreign() string {
	l.t.Helper()
	made, err := l.engine.API.ContainerCreate(l.t.Context(), &container.Config{Image: "coin/app:1", Labels: map[string]string{compose.LabelStack: l.options.Stack.Name}}, nil, nil, nil, l.options.Stack.Name+"_other")
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		_ = l.engine.API.ContainerRemove(context.WithoutCancel(l.t.Context()), made.ID, container.RemoveOptions{Force: true})
	})
	return made.ID
}

// wantWeb checks what the first container of the service web has.
func (l *lab) wantWeb() {
	l.t.Helper()
	web := l.inspect("web.1")
	var secret string
	for _, mount := range web.Mounts {
		if mount.Destination == "/run/secrets/db_access" {
			secret = mount.Source
			if mount.RW {
				l.t.Error("the container can write its secret")
			}
		}
	}
	content, err := os.ReadFile(secret)
	if err != nil || string(content) != canary {
		l.t.Errorf("the secret is %q, %v", content, err)
	}
	if info, err := os.Stat(secret); err != nil || info.Mode().Perm() != 0o400 || info.Sys().(*syscall.Stat_t).Uid != 1000 {
		l.t.Errorf("the secret's file: %v, %v", info, err)
	}
	if strings.Contains(fmt.Sprintf("%+v %+v", web.Config, web.HostConfig), canary) {
		l.t.Error("the engine's record of the container has the secret")
	}
	if web.HostConfig.Memory != 64<<20 || web.HostConfig.RestartPolicy.Name != container.RestartPolicyUnlessStopped {
		l.t.Errorf("limits %d, restart %s", web.HostConfig.Memory, web.HostConfig.RestartPolicy.Name)
	}
	aliases := web.NetworkSettings.Networks[l.options.Stack.Name+"_issuing"].Aliases
	if !slices.Contains(aliases, "web") || !slices.Contains(aliases, "front") {
		l.t.Errorf("aliases %q", aliases)
	}
	if bindings := web.HostConfig.PortBindings["8080/tcp"]; len(bindings) != 1 || bindings[0].HostPort != "18099" {
		l.t.Errorf("ports %v", web.HostConfig.PortBindings)
	}
	if bindings := l.inspect("web.2").HostConfig.PortBindings; len(bindings) > 0 {
		l.t.Errorf("the second container has ports %v", bindings)
	}
}

// wantLeft checks that the volume and a foreign container stay, and nothing else does.
func (l *lab) wantLeft(foreign string) {
	l.t.Helper()
	api, own := l.engine.API, filters.NewArgs(filters.Arg("label", containers.LabelStack+"="+l.options.Stack.Name))
	all, err := api.ContainerList(l.t.Context(), container.ListOptions{All: true, Filters: own})
	if err != nil || len(all) > 0 {
		l.t.Errorf("containers are left: %v, %v", all, err)
	}
	if _, err := api.ContainerInspect(l.t.Context(), foreign); err != nil {
		l.t.Errorf("a foreign container is gone: %v", err)
	}
	networks, err := api.NetworkList(l.t.Context(), network.ListOptions{Filters: own})
	if err != nil || len(networks) > 0 {
		l.t.Errorf("networks are left: %v, %v", networks, err)
	}
	volumes, err := api.VolumeList(l.t.Context(), volume.ListOptions{Filters: own})
	if err != nil || len(volumes.Volumes) != 1 {
		l.t.Errorf("volumes: %v, %v", volumes.Volumes, err)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	stack := func(secret *swarm.SecretReference) *compose.Stack {
		return &compose.Stack{
			Name:    l.options.Stack.Name,
			Secrets: []compose.Secret{{Spec: swarm.SecretSpec{Annotations: swarm.Annotations{Name: "db_access.1"}}, Value: secrets.NewValue([]byte(canary))}},
			Services: map[string]swarm.ServiceSpec{l.options.Stack.Name + "_web": {
				Annotations:  swarm.Annotations{Name: l.options.Stack.Name + "_web"},
				TaskTemplate: swarm.TaskSpec{ContainerSpec: &swarm.ContainerSpec{Image: "coin/app:1", Secrets: []*swarm.SecretReference{secret}}},
			}},
		}
	}
	target := func(uid string) *swarm.SecretReferenceFileTarget {
		return &swarm.SecretReferenceFileTarget{Name: "db_access", UID: uid, GID: "0", Mode: 0o400}
	}
	open := filepath.Join(l.options.Files, "open")
	if err := errors.Join(os.MkdirAll(open, 0o700), os.Chmod(open, 0o755)); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		files         string
		secret        *swarm.SecretReference
		message, hint string
	}{
		"a disk":             {l.dir, &swarm.SecretReference{SecretName: "db_access.1", File: target("0")}, "the folder is on a disk", "--files"},
		"another's folder":   {open, &swarm.SecretReference{SecretName: "db_access.1", File: target("0")}, "open to other users", "--files"},
		"an external secret": {l.options.Files, &swarm.SecretReference{SecretName: "other", File: target("0")}, "the secret other has no value", "external"},
		"a user by name":     {l.options.Files, &swarm.SecretReference{SecretName: "db_access.1", File: target("nginx")}, `"nginx" is not a number`, "number"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			options := l.options
			options.Files, options.Stack = test.files, stack(test.secret)
			_, _, err := containers.Run(t.Context(), options)
			if err == nil || !strings.Contains(err.Error(), test.message) || !strings.Contains(fault.Hint(err), test.hint) {
				t.Errorf("got %v\nhint: %s", err, fault.Hint(err))
			}
			if err := filepath.WalkDir(l.dir, func(path string, entry fs.DirEntry, err error) error {
				if err == nil && !entry.IsDir() && filepath.Base(path) != "db_access" {
					if text, _ := os.ReadFile(path); strings.Contains(string(text), canary) {
						t.Errorf("%s has the secret", path)
					}
				}
				return err
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

// Stop removes nothing above the folder of the files.
func TestStopStaysInItsFolder(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	kept := filepath.Join(l.options.Files, "other", "file")
	if err := errors.Join(os.MkdirAll(filepath.Dir(kept), 0o700), os.WriteFile(kept, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"..", ".", "", "other/..", "/"} {
		options := l.options
		options.Files, options.Stack = filepath.Join(l.options.Files, "run"), &compose.Stack{Name: name}
		if _, err := containers.Stop(t.Context(), options, false); err == nil || !strings.Contains(err.Error(), "is not a valid stack name") {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := os.Stat(kept); err != nil {
			t.Fatalf("%q: %v", name, err)
		}
	}
}
