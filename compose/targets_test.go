package compose_test

import (
	"slices"
	"testing"
)

// TestMountTargets keeps the targets of mounts as the files have them, as docker does.
func TestMountTargets(t *testing.T) {
	const base = "services:\n  base: {image: app, volumes: ['/a:/base/', '/b:/other//x']}\n"
	rendered{
		"short syntax": {
			map[string]string{"node.env": "T=/v/\n", "docker-compose.yml": app + "    volumes: ['/a:/x/', '/b:$T:ro', '/c:/y/../z', /anonymous/, {type: bind, source: /d, target: /long/}]\n"},
			[]string{"app nginx:1  /a:/x/ /b:/v/ /c:/y/../z :/anonymous/ /d:/long/"},
		},
		"extends": {
			map[string]string{"docker-compose.yml": base + "  app: {extends: base, volumes: ['/c:/base', '/d:/mine/']}\n"},
			[]string{"app app:latest  /c:/base /b:/other//x /d:/mine/", "base app:latest  /a:/base/ /b:/other//x"},
		},
		"extends of another file": {
			map[string]string{"base.yml": base, "docker-compose.yml": "services:\n  app: {extends: {service: base, file: base.yml}, volumes: ['/c:/base', '/d:/mine/']}\n"},
			[]string{"app app:latest  /c:/base /b:/other//x /d:/mine/"},
		},
		"include": {
			map[string]string{"base.yml": base, "docker-compose.yml": "include: [base.yml]\n"},
			[]string{"base app:latest  /a:/base/ /b:/other//x"},
		},
	}.run(t)
}

func TestMountTargetsFaults(t *testing.T) {
	for want, files := range map[string]map[string]string{
		"docker-compose.yml:4: service app: two of its volumes have the same target": {
			"docker-compose.yml": app + "    volumes: ['/a:/x', {type: bind, source: /b, target: /x/}]\n",
		},
		"docker-compose-b.yml:2: service app: two mounts have one target, written as /x and /x/": {
			"docker-compose.yml": app + "    volumes: ['/a:/x']\n", "docker-compose-b.yml": app + "    volumes: ['/b:/x/']\n",
		},
	} {
		_, err := renderFiles(t, files)
		if got := describe(t, err); !slices.Equal(got, []string{want}) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
