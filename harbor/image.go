package harbor

import (
	"net/url"
	"strings"

	"github.com/distribution/reference"

	"coin.internal/coin-agent/internal/fault"
)

// Image is an image as Harbor names it.
type Image struct {
	Host       string // of the registry, with its port
	Project    string
	Repository string // within the project; may hold slashes
	Reference  string // the digest, or the tag where there is none
}

// ParseImage reads an image's name. Harbor's are host/project/repository.
func ParseImage(name string) (Image, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return Image{}, fault.New(fault.Place{}, "write it as registry/project/image:tag", "%q is no image", name)
	}
	image := Image{Host: reference.Domain(named)}
	project, repository, deep := strings.Cut(reference.Path(named), "/")
	if !deep {
		return Image{}, fault.New(fault.Place{}, "name it in gates.vulnerabilities.except", "%s is of no Harbor: it belongs to no project", name)
	}
	image.Project, image.Repository = project, repository
	switch one := reference.TagNameOnly(named).(type) {
	case reference.Canonical:
		image.Reference = one.Digest().String()
	case reference.Tagged:
		image.Reference = one.Tag()
	}
	return image, nil
}

// Name is the image without tag and digest.
func (i Image) Name() string { return i.Host + "/" + i.Project + "/" + i.Repository }

// String is the image with its tag, or the beginning of its digest.
func (i Image) String() string {
	if digest, ok := strings.CutPrefix(i.Reference, "sha256:"); ok && len(digest) > 12 {
		return i.Name() + "@sha256:" + digest[:12]
	}
	return i.Name() + ":" + i.Reference
}

// path is the artifact's address. Harbor wants the slashes of a repository's name
// encoded twice.
func (i Image) path() string {
	return "/api/v2.0/projects/" + url.PathEscape(i.Project) +
		"/repositories/" + url.PathEscape(url.PathEscape(i.Repository)) +
		"/artifacts/" + url.PathEscape(i.Reference)
}
