package gitlab

import (
	"context"
	"net/http"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"coin.internal/coin-agent/internal/fault"
)

// Deployment is one step of a rollout or rollback, as GitLab's environments show it.
type Deployment struct {
	Environment string // <environment>/<node>
	Commit      string // full hash
	Ref         string // branch or tag
	Tag         bool   // Ref is a tag
	State       State  // running, success, failed or canceled
	URL         string // of the environment; "" leaves it as it is
}

// Deploy accepts a step of a deployment, like Enqueue: it is durable when Deploy returns, and
// steps of an environment keep their order. It skips a step without news, and canceled for a
// commit whose deployment does not run.
func (o *Outbox) Deploy(d Deployment) error {
	return o.Enqueue(Report{
		Commit: d.Commit, Ref: d.Ref, Name: d.Environment, State: d.State, Target: d.URL, Deployment: true, Tag: d.Tag,
	})
}

// running gives the ID of the deployment that the next step continues; 0 begins another one.
func (t Trail) running() int64 {
	if t.Refused != "" || t.Last.State.Finished() {
		return 0
	}
	return t.StatusID
}

// postDeployment sends a step once: to the deployment with the ID, or as a new one. An error is an
// *Error.
func postDeployment(ctx context.Context, c *Client, r Report, id int64) (Posted, error) {
	if id == 0 {
		return beginDeployment(ctx, c, r)
	}
	options := &gl.UpdateProjectDeploymentOptions{Status: new(gl.DeploymentStatusValue(r.State))}
	posted, err := askDeployment(ctx, c, r, func(with ...gl.RequestOptionFunc) (*gl.Deployment, *gl.Response, error) {
		return c.api.Deployments.UpdateProjectDeployment(c.project, id, options, with...)
	})
	switch refused := asError(err); {
	case err == nil:
		return posted, nil
	case refused.missing(): // a user has deleted it
		return beginDeployment(ctx, c, r)
	case refused.Status != http.StatusBadRequest:
		return posted, err
	}
	// GitLab refuses the state that the deployment has.
	found, readErr := askDeployment(ctx, c, r, func(with ...gl.RequestOptionFunc) (*gl.Deployment, *gl.Response, error) {
		return c.api.Deployments.GetProjectDeployment(c.project, id, with...)
	})
	if readErr != nil || found.State != r.State {
		return posted, err
	}
	return found, nil
}

// beginDeployment makes a deployment.
func beginDeployment(ctx context.Context, c *Client, r Report) (Posted, error) {
	options := &gl.CreateProjectDeploymentOptions{
		Environment: &r.Name, Ref: &r.Ref, SHA: &r.Commit, Tag: &r.Tag, Status: new(gl.DeploymentStatusValue(r.State)),
	}
	return askDeployment(ctx, c, r, func(with ...gl.RequestOptionFunc) (*gl.Deployment, *gl.Response, error) {
		return c.api.Deployments.CreateProjectDeployment(c.project, options, with...)
	})
}

func askDeployment(ctx context.Context, c *Client, r Report, call call[*gl.Deployment]) (Posted, error) {
	found, err := ask(ctx, c, "deployment "+string(r.State)+" of commit "+short(r.Commit)+" to "+r.Name,
		valid("it is not a deployment", call, func(found *gl.Deployment) bool { return found.ID != 0 }))
	if err != nil {
		return Posted{}, err
	}
	return deployed(found), nil
}

func deployed(d *gl.Deployment) Posted {
	posted := Posted{ID: d.ID, State: State(d.Status), number: d.IID}
	if d.Environment != nil {
		posted.environment, posted.url = d.Environment.ID, d.Environment.ExternalURL
	}
	return posted
}

// clockSkew is how far the clocks of GitLab and of the node may differ.
const clockSkew = time.Hour

// latestDeployment finds the newest deployment of the step's commit and ref in its
// environment, by the token's user where GitLab reports that. It reads no older ones than since,
// however many there are.
func latestDeployment(ctx context.Context, c *Client, r Report, since time.Time) (newest Posted, found bool, err error) {
	user, err := userID(ctx, c)
	if err != nil {
		return Posted{}, false, err
	}
	options := &gl.ListProjectDeploymentsOptions{
		ListOptions: gl.ListOptions{PerPage: 100}, OrderBy: new("id"), Sort: new("desc"), Environment: &r.Name,
	}
	all := list(ctx, c, "read deployments of "+r.Name, func(with ...gl.RequestOptionFunc) ([]*gl.Deployment, *gl.Response, error) {
		return c.api.Deployments.ListProjectDeployments(c.project, options, with...)
	})
	for one, err := range all {
		if err != nil {
			return Posted{}, false, err
		}
		if one.CreatedAt != nil && one.CreatedAt.Before(since.Add(-clockSkew)) {
			break
		}
		if one.SHA == r.Commit && one.Ref == r.Ref && (user == 0 || one.User != nil && one.User.ID == user) {
			return deployed(one), true, nil
		}
	}
	return Posted{}, false, nil
}

// linkEnvironment gives the environment the URL of the step, if it has another one. A refusal
// is logged: the deployment counts all the same.
func (o *Outbox) linkEnvironment(ctx context.Context, r Report, posted Posted) error {
	if !r.Deployment || r.Target == "" || posted.environment == 0 || posted.url == r.Target {
		return nil
	}
	options := &gl.EditEnvironmentOptions{ExternalURL: &r.Target}
	_, err := ask(ctx, o.client, "set the URL of the environment "+r.Name, func(with ...gl.RequestOptionFunc) (*gl.Environment, *gl.Response, error) {
		return o.client.api.Environments.EditEnvironment(o.client.project, posted.environment, options, with...)
	})
	if refused := asError(err); err != nil && refused.final(r) {
		o.log.Warn("the environment keeps its URL", "environment", r.Name, "error", err, "hint", fault.Hint(err))
		return nil
	}
	return err
}

// final reports whether no retry of a report would succeed. A token without the right to
// deploy, or to the branch of a merge request, still delivers statuses, so that does not stop the
// delivery.
func (e *Error) final(r Report) bool {
	return e.Kind == KindPermanent || (r.Deployment || r.Plan) && e.Status == http.StatusForbidden
}
