package main

import (
	"context"
	"strings"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/examples/local"
)

// startGitLab serves the repository below root, and the simulated GitLab.
func (w *world) startGitLab(ctx context.Context, root string) (err error) {
	if w.gitlab, err = local.ServeGitLab(ctx, root, nil); err != nil {
		return err
	}
	w.cleanUp.Later("stop the git server and the simulated GitLab", w.gitlab.Close)
	return nil
}

// cloneURL returns the URL to clone from and push to.
func (w *world) cloneURL() string {
	return strings.Replace(w.gitlab.Clone(), "http://", "http://oauth2:"+local.Token+"@", 1)
}

// showStatuses prints the commit statuses in GitLab.
func (w *world) showStatuses(sha string) {
	w.say.line("\nThe statuses of commit %s in GitLab:", record.Short(sha))
	rows := [][]string{}
	for _, post := range w.gitlab.Statuses(sha).Posts {
		rows = append(rows, []string{post.Time.Local().Format("15:04:05.0"), post.State, post.Name, post.Description})
	}
	w.say.table(rows)
}
