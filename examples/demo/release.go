package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/settings"
)

// releaseChapters are the way of a release through two environments: what auto.sh and the
// scripts for promotion did.
func (w *world) releaseChapters(e *estate) []chapter {
	return []chapter{
		{"Five nodes in two environments", func(ctx context.Context) error {
			made, err := newEstate(ctx, w)
			if err != nil {
				return err
			}
			*e = *made
			return e.firstChapter(ctx)
		}},
		{"A release for testing: agent release prepare", func(ctx context.Context) error { return e.prepareChapter(ctx) }},
		{"The same release for production: agent release promote", func(ctx context.Context) error { return e.promoteChapter(ctx) }},
		{"Back on all nodes: agent rollback --group", func(ctx context.Context) error { return e.groupChapter(ctx) }},
		{"Back in git: agent release revert", func(ctx context.Context) error { return e.revertChapter(ctx) }},
	}
}

func (e *estate) firstChapter(ctx context.Context) error {
	e.world.say.line("testing has %s; production has %s, and wants the approval of bob and of\nthe change advisory board, dan. All run release %s.",
		strings.Join(testingNodes, " and "), strings.Join(productionNodes, ", "), firstRelease)
	first, err := e.known(ctx)
	if err != nil {
		return err
	}
	e.world.gitlab.Approve(e.world.gitlab.AddMerge(gitlabtest.Merge{Commit: first}), "bob", "dan")
	if err := e.start(); err != nil {
		return err
	}
	return errors.Join(e.succeeded(ctx, testEnv, first, testingNodes), e.succeeded(ctx, prodEnv, first, productionNodes))
}

func (e *estate) prepareChapter(ctx context.Context) error {
	e.world.say.line("Release %s brings another docker-compose.yml. Ada takes it from the release's bundle:", secondRelease)
	for _, release := range []string{firstRelease, secondRelease} {
		bundle, err := bundleOf(release)
		if err != nil {
			return err
		}
		if err := e.world.write(release+".bundle", bundle); err != nil {
			return err
		}
	}
	if err := e.ada(ctx, "release", "prepare", "--environment", testEnv, "--tag", secondRelease, "--version", "25.23", "--task", "41402",
		"--bundle", e.world.path(secondRelease+".bundle"), "--base-bundle", e.world.path(firstRelease+".bundle"), "--skip-images"); err != nil {
		return err
	}
	e.showRequest()
	commit, err := e.merge(ctx)
	if err != nil {
		return err
	}
	return e.succeeded(ctx, testEnv, commit, testingNodes)
}

func (e *estate) promoteChapter(ctx context.Context) error {
	e.world.say.line("The release has succeeded on all nodes of testing. Ada asks for it in production:")
	if err := e.ada(ctx, "release", "promote", testEnv, prodEnv, "--no-input"); err != nil {
		return err
	}
	e.showRequest()
	commit, err := e.merge(ctx)
	if err != nil {
		return err
	}
	if err := e.waits(ctx, commit); err != nil {
		return err
	}
	if err := e.on(ctx, productionNodes[0], "status"); err != nil {
		return err
	}
	e.world.say.line("\nbob and dan approve the merge request in GitLab. The nodes roll out one after another:")
	e.world.gitlab.Approve(e.merged, "bob", "dan")
	return e.succeeded(ctx, prodEnv, commit, productionNodes)
}

func (e *estate) groupChapter(ctx context.Context) error {
	e.world.say.line("Production has to go back, at once. That needs neither git nor an approval.\nAda asks the nodes' agents, with a token of the scope operate:")
	return e.ada(ctx, e.rollbackGroup(operateToken)...)
}

func (e *estate) revertChapter(ctx context.Context) error {
	e.world.say.line("The nodes are pinned to the release before. Ada reverts the merge, so that git says what runs:")
	if err := e.ada(ctx, "release", "revert", "--environment", prodEnv); err != nil {
		return err
	}
	e.showRequest()
	commit, err := e.merge(ctx)
	if err != nil {
		return err
	}
	e.world.gitlab.Approve(e.merged, "bob", "dan")
	if err := e.succeeded(ctx, prodEnv, commit, productionNodes); err != nil {
		return err
	}
	return e.on(ctx, productionNodes[0], "history")
}

// waits waits until the first node of production waits for its approvals.
func (e *estate) waits(ctx context.Context, commit string) error {
	return e.until(ctx, "the approvals", func() (string, bool, error) {
		for _, post := range e.world.gitlab.Statuses(commit).Posts {
			if post.Name == "coin-agent/"+prodEnv+"/"+productionNodes[0] && strings.Contains(post.Description, "approv") {
				return post.Description, true, nil
			}
		}
		return "", false, nil
	})
}

// merge merges the newest merge request, as a user does in GitLab, and updates Ada's clone.
func (e *estate) merge(ctx context.Context) (commit string, err error) {
	all := e.world.gitlab.MergeRequests()
	request := all[len(all)-1]
	if request.IID == e.merged {
		return "", errors.New("there is no new merge request")
	}
	e.world.say.line("\nIt is merged.")
	if _, err := e.world.repo.Git(ctx, "merge", "--quiet", "--no-ff", "--message", "Merge branch '"+request.SourceBranch+"' into 'master'", request.SourceBranch); err != nil {
		return "", err
	}
	if commit, err = e.known(ctx); err != nil {
		return "", err
	}
	e.merged = request.IID
	e.world.gitlab.Merge(request.IID, commit)
	if _, err := e.clone.Git(ctx, "checkout", "--quiet", "master"); err != nil {
		return "", err
	}
	_, err = e.clone.Git(ctx, "pull", "--quiet", "--ff-only")
	return commit, err
}

// known has GitLab know the commits of master, of which it gives the newest.
func (e *estate) known(ctx context.Context) (tip string, err error) {
	list, err := e.world.repo.Git(ctx, "rev-list", "--reverse", "--topo-order", "master")
	if err != nil {
		return "", err
	}
	for tip = range strings.FieldsSeq(list) {
		if e.told[tip] {
			continue
		}
		e.told[tip] = true
		e.world.gitlab.AddCommit(tip, "master")
		for _, environment := range []string{testEnv, prodEnv} {
			file := "environments/" + environment + "/config.yml"
			content, err := e.world.repo.Git(ctx, "show", tip+":"+file)
			if err != nil {
				return "", err
			}
			e.world.gitlab.SetFile(tip, file, content+"\n")
		}
	}
	return tip, nil
}

// showRequest prints the newest merge request.
func (e *estate) showRequest() {
	all := e.world.gitlab.MergeRequests()
	if len(all) == 0 {
		return
	}
	request := all[len(all)-1]
	text := ""
	if request.Description != nil {
		text = *request.Description
	}
	e.world.say.line("\nThe merge request !%d, %q:\n\n%s", request.IID, request.Title, indent(text))
}

// ada runs one of Ada's commands in her clone.
func (e *estate) ada(ctx context.Context, args ...string) error { return e.run(ctx, "ada", args) }

// on runs a command on a node.
func (e *estate) on(ctx context.Context, name string, args ...string) error {
	e.world.say.line("\n%s", e.world.say.paint(dim, "on "+name+":"))
	return e.run(ctx, name, args)
}

func (e *estate) run(ctx context.Context, config string, args []string) error {
	e.world.say.command("agent " + typed(args))
	command := exec.CommandContext(ctx, e.program(), args...)
	command.Dir, command.Env = e.clone.Dir, append(bareEnv(), settings.EnvPrefix+"CONFIG="+e.world.path(config+".yml"), "HOME="+e.world.dir)
	command.Stdout, command.Stderr = e.world.say.out, e.world.say.out
	err := command.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 3 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("agent %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// bareEnv is the environment of this process without settings of the agent.
func bareEnv() []string {
	var env []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, settings.EnvPrefix) {
			env = append(env, variable)
		}
	}
	return env
}

// bundleOf makes what the image of a release prints for the argument release.
func bundleOf(release string) (string, error) {
	var packed bytes.Buffer
	compressed := gzip.NewWriter(&packed)
	archive := tar.NewWriter(compressed)
	content := releaseCompose(release)
	name := "25.22_" + release + "/docker-compose.yml"
	err := archive.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))})
	if err == nil {
		_, err = archive.Write([]byte(content))
	}
	if err = errors.Join(err, archive.Close(), compressed.Close()); err != nil {
		return "", fmt.Errorf("make a bundle: %w", err)
	}
	return base64.StdEncoding.EncodeToString(packed.Bytes()) + "\n", nil
}
