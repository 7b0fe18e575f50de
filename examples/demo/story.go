package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/examples/local"
)

// The releases in the demo. The image of the last one does not exist.
const (
	firstRelease  = "2025-12-15-11eeef9e99"
	secondRelease = "2026-01-13-0a1b2c3d4e"
	wrongRelease  = "2026-01-14-bad1bad1ba"
)

// chapter is one step of the demo.
type chapter struct {
	title string
	tell  func(context.Context) error
}

// options are what the user asks for.
type options struct {
	full bool // the release chapters, too
	keep bool // leave everything running
}

// duration is how long the demo takes.
func (o options) duration() string {
	if o.full {
		return "about three minutes"
	}
	return "one to two minutes"
}

// tell runs all chapters.
func (w *world) tell(ctx context.Context, asked options) error {
	w.say.line("%s", w.say.paint(bold, "coin-agent rolls out a merged change automatically and reports the result."))
	w.say.line(`
This demo runs everything on this machine: a private Docker engine with a Swarm, a
git repository served over HTTP, a simulated GitLab, and the agent of the node %s/%s,
which runs the COIN stack. It takes %s and cleans up at the end.`, environment, node, asked.duration())
	chapters := []chapter{
		{"Required programs", w.prepare},
		{"A private Docker engine and Swarm", w.engineChapter},
		{"A git repository and a GitLab", w.gitChapter},
		{"The agent starts: the first rollout", w.firstChapter},
		{"A merge: a new release of one service, a new version of a secret", w.changeChapter},
		{"A merge that stops at the plan: the image does not exist", w.stopChapter},
		{"A merge that fails: the service ends at once", w.breakChapter},
		{"A rollback without git", w.backChapter},
		{"The fix", w.fixChapter},
	}
	if asked.full {
		chapters = append(chapters, w.releaseChapters(&estate{})...)
	}
	for _, chapter := range chapters {
		w.say.begin(chapter.title)
		if err := chapter.tell(ctx); err != nil {
			return err
		}
	}
	w.say.end()
	w.summary()
	if asked.keep {
		w.lookAround()
		<-ctx.Done()
	}
	return nil
}

func (w *world) engineChapter(ctx context.Context) error {
	if err := w.makeDir(); err != nil {
		return err
	}
	if err := w.say.during(ctx, "building the agent", "the first build takes minutes", w.build); err != nil {
		return err
	}
	if err := w.say.during(ctx, "starting dockerd", "", w.startEngine); err != nil {
		return err
	}
	w.say.line("\nThe engine has its own data, socket and process: %s", w.engine.Host)
	return nil
}

func (w *world) gitChapter(ctx context.Context) error {
	dir := w.path("git/" + local.Project)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(w.root, "examples/coin-gitops"))); err != nil {
		return fmt.Errorf("copy the example: %w", err)
	}
	files := workingCopy(dir)
	// cron_service uses the private engine, and no registry has the images.
	err := errors.Join(
		files.set("DOCKER_SOCKET", strings.TrimPrefix(w.engine.Host, "unix://")),
		files.configure("images:\n  resolve: never\n"),
		files.replace("environments/"+environment+"/config.yml", "migration_check:\n    enabled: true", "migration_check:\n    enabled: false"), // there is no database
	)
	if err != nil {
		return err
	}
	if w.repo, err = local.NewRepository(ctx, dir, "master"); err != nil {
		return err
	}
	if _, err := w.repo.Commit(ctx, "Add the COIN stacks", nil); err != nil {
		return err
	}
	if err := errors.Join(w.startGitLab(ctx, w.path("git")), w.startChat()); err != nil {
		return err
	}
	w.say.line("URL of the git repository: %s", w.gitlab.Clone())
	w.say.line("The same server simulates GitLab's API, and shows the commit statuses in a browser.")
	settings, err := w.settings()
	if err != nil {
		return err
	}
	w.say.line("\nThe agent's settings, agent.yml (tokens and keys are in files of their own):\n\n%s\n", indent(settings))
	return w.say.during(ctx, "building and importing the images of the stack", "", func(ctx context.Context) error {
		services, images, err := w.images(ctx)
		if err == nil {
			w.say.line("\nThe stack has %d services. The engine has their %d images of release %s.", services, images, firstRelease)
		}
		return err
	})
}

func (w *world) firstChapter(ctx context.Context) error {
	w.say.line("The engine does not run any service yet.")
	w.say.command("agent run")
	if err := w.startAgent(); err != nil {
		return err
	}
	commit, err := w.rollout(ctx, record.Succeeded)
	if err != nil {
		return err
	}
	if err := w.run(ctx, "status"); err != nil {
		return err
	}
	w.showStatuses(commit)
	return w.askBoth(ctx)
}

func (w *world) changeChapter(ctx context.Context) error {
	w.say.line("Ada, an engineer, makes two changes for %s:", node)
	w.say.line("  node.env              TAG_ADMIN_API=%s   (a new release of one service)", secondRelease)
	w.say.line("  secrets.enc           webhook.auth gets a new value, encrypted with SOPS")
	w.say.line("  secrets.override.enc  SV_webhook_auth: 1 -> 2         (a new version for the new value)")
	if err := workingCopy(w.repo.Dir).set("TAG_ADMIN_API", secondRelease); err != nil {
		return err
	}
	value := fmt.Sprintf("version: 2\nnote: made up for the demo, opens nothing\nvalue: %d\n", time.Now().UnixNano())
	if err := workingCopy(w.repo.Dir).raise(w.path("age.key"), "webhook.auth", "SV_webhook_auth", 2, value); err != nil {
		return err
	}
	if _, _, err := w.images(ctx); err != nil {
		return err
	}
	w.say.line("\nBefore the merge, she looks at the plan:")
	if err := w.run(ctx, "diff", "--repo", "."); err != nil {
		return err
	}
	before, err := w.containers(ctx)
	if err != nil {
		return err
	}
	w.say.line("\nShe merges the changes:")
	commit, err := w.merge(ctx, "Release admin_api "+secondRelease+", renew webhook.auth", record.Succeeded)
	if err != nil {
		return err
	}
	if err := w.compare(ctx, before, "admin_api", "cron_service", "partner_api", "webhook_api"); err != nil {
		return err
	}
	if err := w.askBoth(ctx); err != nil {
		return err
	}
	w.showStatuses(commit)
	if err := w.run(ctx, "status"); err != nil {
		return err
	}
	return w.run(ctx, "history")
}

func (w *world) stopChapter(ctx context.Context) error {
	w.say.line("Ada merges TAG_PDF_RENDERER=%s. Its image does not exist.", wrongRelease)
	if err := workingCopy(w.repo.Dir).set("TAG_PDF_RENDERER", wrongRelease); err != nil {
		return err
	}
	before, err := w.containers(ctx)
	if err != nil {
		return err
	}
	commit, err := w.merge(ctx, "Release pdf-renderer "+wrongRelease, record.Failed)
	if err != nil {
		return err
	}
	w.showStatuses(commit)
	if err := errors.Join(w.showMessage(ctx), w.run(ctx, "status")); err != nil {
		return err
	}
	after, err := w.containers(ctx)
	if err != nil {
		return err
	}
	if !maps.Equal(before, after) {
		return fmt.Errorf("the engine has other containers: %v, before: %v", after, before)
	}
	w.say.line(`
The agent has changed nothing: pdf-renderer and all other services run as before. The
demo has no registry, so the agent asks for the image again until it can be pulled. Ada
reverts her merge.`)
	return w.revert(ctx)
}

func (w *world) breakChapter(ctx context.Context) error {
	w.say.line("Ada merges a change with which pdf-renderer ends at once, with exit code 3.")
	const ports = `LISTEN_PORTS: "5000"`
	if err := workingCopy(w.repo.Dir).replace(nodeDir+"/docker-compose.yml", ports, ports+"\n      CRASH_AFTER: 1ms"); err != nil {
		return err
	}
	commit, err := w.merge(ctx, "Change pdf-renderer", record.Failed)
	if err != nil {
		return err
	}
	w.say.line("\nThe engineer sees the result on her commit:")
	w.showStatuses(commit)
	if err := w.showMessage(ctx); err != nil {
		return err
	}
	w.say.line("\nThe operator sees it on the node:")
	if err := w.run(ctx, "status"); err != nil {
		return err
	}
	if err := w.run(ctx, "history", "-n", "3"); err != nil {
		return err
	}
	w.say.line(`
pdf-renderer is down: its update_config stops the old task first, and the sandbox's
config.yml disables the automatic rollback. All other services keep running
(cron_service is restarting after the rollout).`)
	return nil
}

func (w *world) backChapter(ctx context.Context) error {
	w.say.line(`The operator does not wait for a fix. The agent has recorded the last good state. A
rollback to it needs neither git nor GitLab.`)
	if err := w.run(ctx, "rollback", "--yes", "--reason", "pdf-renderer is down"); err != nil {
		return err
	}
	w.say.line("\nThe report of the rollback:")
	if err := w.run(ctx, "show", "latest", "-o", "report"); err != nil {
		return err
	}
	return w.run(ctx, "status")
}

func (w *world) fixChapter(ctx context.Context) error {
	w.say.line("The node stays pinned to the good state until the next commit. Ada reverts her merge.")
	if err := w.revert(ctx); err != nil {
		return err
	}
	if err := w.run(ctx, "status"); err != nil {
		return err
	}
	return w.run(ctx, "history", "-n", "6")
}

// revert takes the newest commit back, and waits until the sync of that has ended.
func (w *world) revert(ctx context.Context) error {
	w.say.command("git revert HEAD")
	if _, err := w.repo.Git(ctx, "revert", "--no-edit", "HEAD"); err != nil {
		return err
	}
	commit, err := w.rollout(ctx, record.Succeeded)
	if err != nil {
		return err
	}
	w.showStatuses(commit)
	return w.showMessage(ctx)
}

// merge commits the changes and waits until their sync has ended.
func (w *world) merge(ctx context.Context, subject string, want record.State) (string, error) {
	w.say.command(fmt.Sprintf("git commit --all --message %q", subject))
	if _, err := w.repo.Commit(ctx, subject, nil); err != nil {
		return "", err
	}
	output, err := w.repo.Git(ctx, "show", "--stat", "--format=%h by %an: %s")
	if err != nil {
		return "", err
	}
	w.say.line("%s\n", output)
	return w.rollout(ctx, want)
}

// rollout waits until the sync of the newest commit has ended.
func (w *world) rollout(ctx context.Context, want record.State) (string, error) {
	commit, err := w.repo.Git(ctx, "rev-parse", "HEAD")
	if err != nil {
		return "", err
	}
	sync, err := w.follow(ctx, commit)
	if err != nil {
		return "", err
	}
	if sync.State != want {
		return "", fmt.Errorf("the sync of %s has the state %s, want %s: %s", record.Short(commit), sync.State, want, sync.Error)
	}
	return commit, nil
}

// compare checks that exactly the services in want have new containers.
func (w *world) compare(ctx context.Context, before map[string]string, want ...string) error {
	after, err := w.containers(ctx)
	if err != nil {
		return err
	}
	var changed []string
	for _, service := range slices.Sorted(maps.Keys(after)) {
		if after[service] != before[service] {
			changed = append(changed, service)
		}
	}
	w.say.line("\nThe engine has new containers for %s.\nThe other %d are unchanged. (The agent stops cron_service during every rollout.)",
		strings.Join(changed, ", "), len(after)-len(changed))
	if !slices.Equal(changed, want) {
		return fmt.Errorf("the engine has new containers for %v, want only %v", changed, want)
	}
	return nil
}

func (w *world) askBoth(ctx context.Context) error {
	for _, service := range []string{"admin_api", "webhook_api"} {
		if err := w.ask(ctx, service); err != nil {
			return err
		}
	}
	return nil
}

// indent indents a text.
func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}
