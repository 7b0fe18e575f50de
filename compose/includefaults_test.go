package compose_test

import (
	"slices"
	"strings"
	"testing"
)

const (
	appExtends = "services:\n  app:\n    extends:\n      file: base.yml\n      service: base\n"
	baseFile   = "services:\n  base:\n    image: nginx:1\n"
	includes   = app + "include:\n  - part.yml\n"
)

// TestOtherFileFaults renders invalid includes and extends. Each fault must have the
// place of the mistake.
func TestOtherFileFaults(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"include missing": {
			map[string]string{"docker-compose.yml": includes},
			[]string{`docker-compose.yml:5: the file part.yml does not exist`},
		},
		"includes missing": {
			map[string]string{"docker-compose.yml": app + "include:\n  - a.yml\n  - path:\n      - b.yml\n"},
			[]string{`docker-compose.yml:5: the file a.yml does not exist`, `docker-compose.yml:6: the file b.yml does not exist`},
		},
		"include leaves": {
			map[string]string{"docker-compose.yml": app + "include: [../../../../../x.yml]\n"},
			[]string{`docker-compose.yml:4: path "../../../../../x.yml" leaves the repository`},
		},
		"include absolute": {
			map[string]string{"docker-compose.yml": app + "include:\n  - path: /etc/x.yml\n"},
			[]string{`docker-compose.yml:5: path "/etc/x.yml" is absolute`},
		},
		"include remote": {
			map[string]string{"docker-compose.yml": app + "include:\n  - https://example.com/a.git\n  - oci://example.com/b\n  - git@example.com:c.git\n  - github.com/example/d.git\n"},
			[]string{
				`docker-compose.yml:5: https://example.com/a.git is not in the repository, and the agent does not fetch files`, `docker-compose.yml:6: oci://example.com/b is not in the repository, and the agent does not fetch files`,
				`docker-compose.yml:7: git@example.com:c.git is not in the repository, and the agent does not fetch files`, `docker-compose.yml:8: github.com/example/d.git is not in the repository, and the agent does not fetch files`,
			},
		},
		"project_directory leaves": {
			map[string]string{"docker-compose.yml": app + "include:\n  - path: part.yml\n    project_directory: ../../../../..\n", "part.yml": baseFile},
			[]string{`docker-compose.yml:6: path "../../../../.." leaves the repository`},
		},
		"include of nothing": {
			map[string]string{"docker-compose.yml": app + "include:\n  - project_directory: a\n"},
			[]string{`docker-compose.yml:5: the include does not name a file`},
		},
		"include is no list": {
			map[string]string{"docker-compose.yml": app + "include: part.yml\n"},
			[]string{`docker-compose.yml:4: include must be a array`},
		},
		"include of another key": {
			map[string]string{"docker-compose.yml": app + "include:\n  - paths: a\n    path: part.yml\n", "part.yml": baseFile},
			[]string{`docker-compose.yml:4: include.0.paths is not allowed here`},
		},
		"include of a secret": {
			map[string]string{"/environments/test/config.yml": plaintext, "secrets/db": canary, "docker-compose.yml": app + "include: [secrets/db]\n"},
			[]string{`docker-compose.yml:4: secrets/db contains secrets`},
		},
		"variable of an include": {
			map[string]string{"docker-compose.yml": app + "include: ['$PART.yml', 'x.yml']\n", "x.yml": baseFile},
			[]string{`docker-compose.yml:4: the variable PART is not set and has no default`},
		},
		"broken path": {
			map[string]string{"docker-compose.yml": app + "include: ['${PART']\n"},
			[]string{`docker-compose.yml:4: Invalid template: "${PART"`},
		},
		"include cycle": {
			map[string]string{"docker-compose.yml": includes, "part.yml": "include: [more/b.yml]\n", "more/b.yml": "services: {}\ninclude:\n  - ../part.yml\n"},
			[]string{`more/b.yml:3: the files include each other: docker-compose.yml includes part.yml includes more/b.yml includes part.yml`},
		},
		"includes itself": {
			map[string]string{"docker-compose.yml": app + "include: [docker-compose.yml]\n"},
			[]string{`docker-compose.yml:4: the files include each other: docker-compose.yml includes docker-compose.yml`},
		},
		"service twice": {
			map[string]string{"docker-compose.yml": includes, "part.yml": "services:\n  web:\n    image: a\n  app:\n    image: nginx:2\n"},
			[]string{`docker-compose.yml:2: service app: the included part.yml:4 also defines it`},
		},
		"config twice": {
			map[string]string{"docker-compose.yml": includes + "configs:\n  c:\n    content: a\n", "part.yml": "configs:\n  c:\n    content: b\n"},
			[]string{`docker-compose.yml:7: config c: the included part.yml:2 also defines it`},
		},
		"service in two includes": {
			map[string]string{"docker-compose.yml": app + "include: [a.yml, b.yml]\n", "a.yml": baseFile, "b.yml": "# b\nservices:\n  base:\n    image: nginx:2\n"},
			[]string{`a.yml:2: service base: the included b.yml:3 also defines it`},
		},
		"unset in an included file": {
			map[string]string{
				"docker-compose.yml": app + "    user: ${X:-1}\ninclude:\n  - {path: part.yml, env_file: x.env}\n  - other.yml\n", "x.env": "X=1\n",
				"part.yml": "services:\n  web:\n    image: web:$X\n    user: $Y\n", "other.yml": "services:\n  other:\n    image: web:1\n    user: ${Z:-$X}\n",
			},
			[]string{`other.yml:4: the variable X is not set and has no default`, `part.yml:4: the variable Y is not set and has no default`},
		},
		"TAG_ in an included file": {
			map[string]string{"node.env": "A=1\n", "docker-compose.yml": includes, "part.yml": "services:\n  web:\n    image: web:$TAG_WEB\n"},
			[]string{`part.yml:3: the variable TAG_WEB is not set and has no default`},
		},
		"wrong in an included file": {
			map[string]string{"docker-compose.yml": includes, "part.yml": "services:\n  web:\n    image: web:1\n    hostnam: a\n"},
			[]string{`part.yml:4: services.web.hostnam is not a key of Compose`},
		},
		"YAML of an included file": {
			map[string]string{"docker-compose.yml": includes, "part.yml": "services:\n  web: a: b\n"},
			[]string{`part.yml:2: not valid YAML: mapping values are not allowed in this context`},
		},
		"wrong in the second of two": {
			map[string]string{"docker-compose.yml": app + "include:\n  - path: [a.yml, b.yml]\n", "a.yml": baseFile, "b.yml": "services:\n  base:\n    deploy: {replicas: many}\n"},
			[]string{`b.yml:3: services.base.deploy.replicas: failed to cast to expected type: strconv.Atoi: parsing "many": invalid syntax`},
		},
		"two that do not merge": {
			map[string]string{"docker-compose.yml": app + "include:\n  - path: [a.yml, b.yml]\n", "a.yml": baseFile + "    deploy: {}\n", "b.yml": "services:\n  base:\n    deploy: [a]\n"},
			[]string{`b.yml:3: services.base.deploy must be a mapping or null`},
		},
		"docker refuses it in an included file": {
			map[string]string{"docker-compose.yml": includes, "part.yml": "services:\n  web:\n    image: web:1\n    stop_grace_period: 1s\n    command: 'a \"b'\n"},
			[]string{`part.yml:5: 'Command' EOF found when expecting closing quote`},
		},
		"undefined in an included file": {
			map[string]string{"docker-compose.yml": includes, "part.yml": "services:\n  web:\n    image: web:1\n    networks: [n]\n"},
			[]string{`part.yml:2: service web: undefined network "n"`},
		},
		"files of an included file": {
			map[string]string{
				"docker-compose.yml": app + "include: [parts/web.yml]\n",
				"parts/web.yml":      "services:\n  web:\n    image: web:1\n    env_file: web.env\n    volumes: ['./data:/data']\nconfigs:\n  c:\n    file: c.conf\n",
			},
			[]string{`parts/web.yml:4: read env_file: open parts/web.env: file does not exist`, `parts/web.yml:5: service web: the bind source parts/data is relative, but the agent has no folder on the node for it`},
		},
		"missing config of an included file": {
			map[string]string{"docker-compose.yml": includes, "part.yml": "configs:\n  c:\n    file: c.conf\n"},
			[]string{`part.yml:2: read config c: open c.conf: file does not exist`},
		},
		"missing secret of an included file": {
			map[string]string{"docker-compose.yml": includes, "part.yml": "secrets:\n  db:\n    file: secrets/db\n"},
			[]string{`part.yml:2: the secret "db" has no value: looked for secrets/db.enc, secrets/db, the key db in secrets.override.enc and secrets.enc`},
		},
		"files that leave": {
			map[string]string{
				"docker-compose.yml":       "include: [../../../../common/web.yml]\nservices:\n  app:\n    extends: {file: ../../../../common/web.yml, service: base}\n",
				"/common/web.yml":          "include: [../web/web.yml]\nservices:\n  base:\n    image: nginx:1\n    env_file: a.env\nconfigs:\n  c:\n    file: ../../c.conf\n",
				"/web/web.yml":             "services:\n  web:\n    image: web:1\n    env_file:\n      - ../../x.env\n",
				"/common/a.env":            "A=1\n",
				"/environments/test/a.env": "A=no\n",
			},
			[]string{`web/web.yml:4: path "../../x.env" leaves the repository`},
		},
		"include env_file missing": {
			map[string]string{"docker-compose.yml": app + "include:\n  - path: part.yml\n    env_file: x.env\n", "part.yml": baseFile},
			[]string{`docker-compose.yml:6: read env_file: open x.env: file does not exist`},
		},
		"include env_file is a secret": {
			map[string]string{"/environments/test/config.yml": plaintext, "secrets/db": canary, "docker-compose.yml": app + "include:\n  - path: part.yml\n    env_file: [secrets/db]\n", "part.yml": baseFile},
			[]string{`docker-compose.yml:6: secrets/db contains secrets`},
		},
		"include env_file broken": {
			map[string]string{"docker-compose.yml": app + "include:\n  - {path: part.yml, env_file: x.env}\n", "part.yml": baseFile, "x.env": "A=1\nB C=" + canary + "\n"},
			[]string{`x.env:2: the line is not an assignment`},
		},
		"unset in an include's env_file": {
			map[string]string{
				"docker-compose.yml": app + "include:\n  - {path: part.yml, env_file: x.env}\n", "part.yml": baseFile,
				"x.env": "# $NO\nA='$NO'\nB=$A${TAG}${C:-1} # $NO\nD=\"\\$NO\"\nE=a$NO\n",
			},
			[]string{`x.env:5: the variable NO is not set and has no default`},
		},
		"extends missing": {
			map[string]string{"docker-compose.yml": appExtends},
			[]string{`docker-compose.yml:4: the file base.yml does not exist`},
		},
		"extends leaves": {
			map[string]string{"docker-compose.yml": "services:\n  app:\n    extends: {file: ../../../../../base.yml, service: base}\n"},
			[]string{`docker-compose.yml:3: path "../../../../../base.yml" leaves the repository`},
		},
		"extends remote": {
			map[string]string{"docker-compose.yml": "services:\n  app:\n    extends: {file: 'https://example.com/a.git', service: base}\n"},
			[]string{`docker-compose.yml:3: https://example.com/a.git is not in the repository, and the agent does not fetch files`},
		},
		"extends unknown service": {
			map[string]string{"docker-compose.yml": appExtends, "base.yml": app},
			[]string{`docker-compose.yml:3: service app extends base, which is not in base.yml`},
		},
		"extends in a chain unknown service": {
			map[string]string{"docker-compose.yml": appExtends, "base.yml": baseFile + "    extends: no\n"},
			[]string{`base.yml:4: cannot extend service "base" in base.yml: service "no" not found`},
		},
		"extends cycle": {
			map[string]string{"docker-compose.yml": appExtends, "base.yml": baseFile + "    extends: {file: docker-compose.yml, service: app}\n"},
			[]string{`docker-compose.yml:3: the services extend each other: app in docker-compose.yml extends base in base.yml extends app in docker-compose.yml`},
		},
		"extends itself": {
			map[string]string{"docker-compose.yml": app + "    extends: b\n  b:\n    extends: app\n"},
			[]string{`docker-compose.yml:4: the services extend each other: app in docker-compose.yml extends b in docker-compose.yml extends app in docker-compose.yml`},
		},
		"extends without service": {
			map[string]string{"docker-compose.yml": app + "    extends: {file: base.yml}\n", "base.yml": baseFile},
			[]string{`docker-compose.yml:4: extends.app.service is required`},
		},
		"unset in a base": {
			map[string]string{"docker-compose.yml": appExtends, "base.yml": baseFile + "    user: $NO\n  other:\n    user: $OTHER\n"},
			[]string{`base.yml:4: the variable NO is not set and has no default`},
		},
		"a base extends an unknown service": {
			map[string]string{"docker-compose.yml": appExtends, "base.yml": baseFile + "    extends: nope\n"},
			[]string{`base.yml:4: cannot extend service "base" in base.yml: service "nope" not found`},
		},
		"wrong in a base": {
			map[string]string{"docker-compose.yml": appExtends, "base.yml": baseFile + "    hostnam: a\n"},
			[]string{`base.yml:4: services.base.hostnam is not a key of Compose`},
		},
		"docker refuses it in a base": {
			map[string]string{"docker-compose.yml": appExtends, "base.yml": baseFile + "    command: 'a \"b'\n"},
			[]string{`base.yml:4: 'Command' EOF found when expecting closing quote`},
		},
		"files of a base": {
			map[string]string{"docker-compose.yml": "services:\n  app:\n    extends: {file: parts/base.yml, service: base}\n", "parts/base.yml": baseFile + "    env_file: a.env\n    volumes: ['~/data:/data']\n"},
			[]string{`parts/base.yml:4: read env_file: open parts/a.env: file does not exist`, `parts/base.yml:5: service app: the bind source ~/data means a home directory, which the agent does not have`},
		},
		"two mounts of a base": {
			map[string]string{"docker-compose.yml": appExtends, "base.yml": baseFile + "    volumes: ['/a:/x', '/b:/x']\n"},
			[]string{`base.yml:4: service base: two of its volumes have the same target`},
		},
		"wrong beside one that extends": {
			map[string]string{"docker-compose.yml": "services:\n  a:\n    extends: z\n  b:\n    extends: {file: base.yml, service: base}\n  m:\n    image: a\n    hostnam: a\n  z:\n    image: a\n", "base.yml": baseFile},
			[]string{`docker-compose.yml:8: services.m.hostnam is not a key of Compose`},
		},
		"does not merge": {
			map[string]string{"docker-compose.yml": appExtends + "    deploy: []\n", "base.yml": baseFile + "    deploy: {replicas: 2}\n"},
			[]string{`docker-compose.yml:6: cannot override services.app.deploy`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 3 {
				stack, err := renderFiles(t, test.files)
				if stack != nil {
					t.Error("Render returned a stack")
				}
				if got := slices.Sorted(slices.Values(describe(t, err))); !slices.Equal(got, test.want) {
					t.Fatalf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
				}
			}
		})
	}
}
