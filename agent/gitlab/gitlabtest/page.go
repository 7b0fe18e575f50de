package gitlabtest

import (
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const pageText = `<!doctype html>
<meta charset="utf-8"><meta http-equiv="refresh" content="2"><title>{{.Project}}</title>
<style>
body{font:15px sans-serif;margin:2em;color:#222} table{border-collapse:collapse;margin:.5em 0 2em}
td,th{padding:.3em .8em;text-align:left;border-bottom:1px solid #ddd} code{color:#555}
.success{color:#108548}.failed{color:#dd2b0e}.running{color:#1f75cb}.pending{color:#ab6100}.canceled{color:#737278}
</style>
<h1>{{.Project}}</h1>
{{range .Commits}}<h2>Commit <code>{{.SHA}}</code></h2>
<table><tr><th>Status<th>Name<th>Ref<th>Pipeline<th>Description</tr>
{{range .Entries}}<tr><td class="{{.Status}}">{{.Status}}{{if .Retried}} (retried){{end}}<td>{{.Name}}<td>{{.Ref}}<td>#{{.PipelineID}}<td>{{with .Description}}{{.}}{{end}}</tr>
{{end}}</table>
<h3>As it was posted</h3>
<table>{{range .Posts}}<tr><td>{{.Time.Format "15:04:05.000"}}<td class="{{.State}}">{{.State}}<td>{{.Name}}<td>{{.Description}}</tr>
{{end}}</table>
{{else}}<p>No statuses yet.</p>
{{end}}`

// webRoot is the address of GitLab's pages in its answers.
const webRoot = "https://gitlab.coin.example/"

// showsDeployments are the paths of a project's pages with deployments: a folder of environments, an
// environment, and a deployment by its number.
var showsDeployments = regexp.MustCompile(`^/-/environments/(?:folders/([^/]+)|(\d+)(?:/deployments/(\d+))?)$`)

// HasPage reports whether GitLab has a page below the address of the project.
func (s *Server) HasPage(path string) bool {
	match := showsDeployments.FindStringSubmatch(path)
	if match == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if match[1] != "" {
		return true // also one without environments
	}
	id, _ := strconv.ParseInt(match[2], 10, 64)
	number, _ := strconv.ParseInt(match[3], 10, 64)
	if id < 1 || id > int64(len(s.environments)) {
		return false
	}
	return match[3] == "" || !s.old && slices.ContainsFunc(s.deployments, func(one *Deployment) bool {
		return one.Environment.ID == id && one.IID == number
	})
}

// BeOld has the double be a GitLab 16.8, which has no page for each deployment.
func (s *Server) BeOld() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.old = true
}

// version gives the version of GitLab.
func (s *Server) version() string {
	if s.old {
		return "16.8.4-ee"
	}
	return "18.6.0-ee"
}

// page shows the commits with statuses, the newest first.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	if path, within := strings.CutPrefix(r.URL.Path, "/"+s.config.Project); within && s.HasPage(path) {
		return // of no content
	}
	if r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	type commit struct {
		SHA string
		Timeline
	}
	data := struct {
		Project string
		Commits []commit
	}{Project: s.config.Project}
	s.mu.Lock()
	var shas []string
	for _, post := range slices.Backward(s.posts) {
		if !slices.Contains(shas, post.SHA) {
			shas = append(shas, post.SHA)
		}
	}
	s.mu.Unlock()
	for _, sha := range shas {
		data.Commits = append(data.Commits, commit{sha, s.Statuses(sha)})
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	template.Must(template.New("page").Parse(pageText)).Execute(w, data) //nolint:errcheck // the client may have ended the connection
}
