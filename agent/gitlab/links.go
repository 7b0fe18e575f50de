package gitlab

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go/v2"
)

// GitLab shows a page for each deployment since this version. Earlier ones show those of an
// environment in one page.
const (
	pageMajor = 17
	pageMinor = 1
)

// versionAge is how long the version of GitLab counts, and linkTime how long Links waits for an
// answer.
const (
	versionAge = 24 * time.Hour
	linkTime   = 10 * time.Second
)

// Links finds the page in GitLab with the deployments that a commit status is about. The outbox
// of reports alone uses it, which sends one report after the other.
type Links struct {
	client      *Client
	store       Store
	environment string

	project string    // its page; "" before it is known
	single  bool      // GitLab has a page for each deployment
	asked   time.Time // for its version
}

// NewLinks makes Links for the statuses of an environment's node. The store is the outbox's.
func NewLinks(client *Client, store Store, environment string) *Links {
	return &Links{client: client, store: store, environment: environment}
}

// Of gives the page of the commit's deployment to the status' node; before there is one, that
// with the deployments to all nodes of the environment. It is "" if GitLab does not tell the
// project's page.
func (l *Links) Of(ctx context.Context, status Report) string {
	ctx, cancel := context.WithTimeout(ctx, linkTime)
	defer cancel()
	project, err := l.page(ctx)
	if err != nil {
		return "" // the next status asks again
	}
	environments := project + "/-/environments/"
	of := status
	of.Name = strings.TrimPrefix(status.Name, "coin-agent/")
	trail, err := l.store.Trail(of)
	switch {
	case err != nil || trail.Environment == 0 || trail.Number == 0:
		return environments + "folders/" + url.PathEscape(l.environment)
	case !l.shows(ctx):
		return environments + strconv.FormatInt(trail.Environment, 10)
	}
	return fmt.Sprintf("%s%d/deployments/%d", environments, trail.Environment, trail.Number)
}

// page gives the page of the project. GitLab is asked for it once, where the settings have its
// number: pages below a number do not exist.
func (l *Links) page(ctx context.Context) (string, error) {
	if l.project != "" {
		return l.project, nil
	}
	if _, err := strconv.Atoi(l.client.project); err != nil {
		base, _, _ := strings.Cut(l.client.api.BaseURL().String(), "/api/v4")
		l.project = base + "/" + l.client.project
		return l.project, nil
	}
	project, err := ask(ctx, l.client, "read the project's page", valid("it has no page", func(with ...gl.RequestOptionFunc) (*gl.Project, *gl.Response, error) {
		return l.client.api.Projects.GetProject(l.client.project, nil, with...)
	}, func(project *gl.Project) bool { return project.WebURL != "" }))
	if err != nil {
		return "", err
	}
	l.project = project.WebURL
	return l.project, nil
}

// shows reports whether GitLab has a page for each deployment, as far as it tells. It is asked
// once a day, while there are statuses.
func (l *Links) shows(ctx context.Context) bool {
	if !l.asked.IsZero() && time.Since(l.asked) < versionAge {
		return l.single
	}
	version, err := ask(ctx, l.client, "read the version", l.client.api.Version.GetVersion)
	if refused := asError(err); err != nil && refused.Kind == KindRetry {
		return false
	}
	l.asked, l.single = time.Now(), err == nil && atLeast(version.Version, pageMajor, pageMinor)
	return l.single
}

// atLeast reports whether a version such as 18.6.0-ee is not older than another one.
func atLeast(version string, major, minor int) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	first, err := strconv.Atoi(parts[0])
	second, err2 := strconv.Atoi(parts[1])
	return err == nil && err2 == nil && (first > major || first == major && second >= minor)
}
