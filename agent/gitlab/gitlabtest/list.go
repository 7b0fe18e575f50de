package gitlabtest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// listStatuses is GET /projects/:id/repository/commits/:sha/statuses.
func (s *Server) listStatuses(r *http.Request, token Token, project, sha string, params url.Values) answer {
	query, refusal := readListing(params)
	if refusal != nil {
		return *refusal
	}
	if refusal := s.admit(token, project, []string{"api", "read_api"}, Reporter); refusal != nil {
		return *refusal
	}
	if _, _, ok := s.commit(sha); !ok {
		return refuse(http.StatusNotFound, "404 Commit Not Found")
	}
	found := []Status{}
	for _, status := range s.statuses {
		if status.SHA == sha && query.admits(status) { // exactly: a short hash finds nothing
			found = append(found, *status)
		}
	}
	slices.SortStableFunc(found, func(a, b Status) int {
		order := int(a.ID - b.ID)
		if query.orderBy == "pipeline_id" && a.PipelineID != b.PipelineID {
			order = int(a.PipelineID - b.PipelineID)
		}
		if query.sort == "desc" {
			order = -order
		}
		return order
	})
	return cut(query.page, r, found)
}

type listing struct {
	all              bool
	ref, name, stage string
	pipeline         int64
	orderBy, sort    string
	page             page
}

func readListing(params url.Values) (listing, *answer) {
	query := listing{ref: params.Get("ref"), name: params.Get("name"), stage: params.Get("stage")}
	all, refusal := oneOf(params, "all", "false", "true", "false", "1", "0")
	if refusal != nil {
		return query, refusal
	}
	query.all = all == "true" || all == "1"
	if query.orderBy, refusal = oneOf(params, "order_by", "id", "id", "pipeline_id"); refusal != nil {
		return query, refusal
	}
	if query.sort, refusal = oneOf(params, "sort", "asc", "asc", "desc"); refusal != nil {
		return query, refusal
	}
	if query.pipeline, refusal = number(params, "pipeline_id"); refusal != nil {
		return query, refusal
	}
	query.page, refusal = readPage(params)
	return query, refusal
}

func readPage(params url.Values) (p page, refusal *answer) {
	if p.number, refusal = number(params, "page"); refusal != nil {
		return p, refusal
	}
	p.size, refusal = number(params, "per_page")
	p.number = max(p.number, 1)
	if p.size == 0 {
		p.size = 20
	}
	p.size = min(p.size, 100)
	return p, refusal
}

func (l listing) admits(status *Status) bool {
	stage := "external"
	if status.job {
		stage = "test"
	}
	return (l.all || !status.Retried) &&
		(l.ref == "" || l.ref == status.Ref) &&
		(l.name == "" || l.name == status.Name) &&
		(l.stage == "" || l.stage == stage) &&
		(l.pipeline == 0 || l.pipeline == status.PipelineID)
}

type page struct{ number, size int64 }

// cut returns one page of the list, with GitLab's headers about the other pages.
func cut[T any](p page, r *http.Request, all []T) answer {
	total := int64(len(all))
	pages := max((total+p.size-1)/p.size, 1)
	text := func(n int64) string {
		if n < 1 || n > pages {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	header := http.Header{}
	header.Set("X-Page", strconv.FormatInt(p.number, 10))
	header.Set("X-Per-Page", strconv.FormatInt(p.size, 10))
	header.Set("X-Total", strconv.FormatInt(total, 10))
	header.Set("X-Total-Pages", strconv.FormatInt(pages, 10))
	header.Set("X-Next-Page", text(p.number+1))
	header.Set("X-Prev-Page", text(p.number-1))
	var links []string
	for _, link := range []struct {
		rel    string
		number int64
	}{{"prev", p.number - 1}, {"next", p.number + 1}, {"first", 1}, {"last", pages}} {
		if text(link.number) == "" {
			continue
		}
		query := r.URL.Query()
		query.Set("page", strconv.FormatInt(link.number, 10))
		query.Set("per_page", strconv.FormatInt(p.size, 10))
		links = append(links, fmt.Sprintf(`<http://%s%s?%s>; rel="%s"`, r.Host, r.URL.EscapedPath(), query.Encode(), link.rel))
	}
	header.Set("Link", strings.Join(links, ", "))
	from := min((p.number-1)*p.size, total)
	return answer{code: http.StatusOK, header: header, body: all[from:min(from+p.size, total)]}
}
