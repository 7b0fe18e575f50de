package compose_test

import "testing"

func TestExtendsFile(t *testing.T) {
	const base = "services:\n  base:\n    image: base:$TAG_BASE\n    environment: {A: '1', B: '$$1'}\n  other:\n    image: $NOWHERE\n"
	rendered{
		"common base": {
			map[string]string{
				"/common/base.yml":   base,
				"docker-compose.yml": "services:\n  app:\n    extends: {file: ../../../../common/base.yml, service: base}\n    environment: [B=2]\n  two:\n    extends: {file: ../../../../common/base.yml, service: base}\n    image: two:1\n",
			},
			[]string{"app base:1 A=1 B=2", "two two:1 A=1 B=$1"},
		},
		"variables": {
			map[string]string{
				"node.env": "TAG=1\nFILE=base.yml\nNAME=base\n", "base.yml": base,
				"docker-compose.yml": "services:\n  app:\n    extends: {file: $FILE, service: $NAME}\n",
			},
			[]string{"app base:1 A=1 B=$1"},
		},
		"lists": { // lists are appended, but a command is replaced
			map[string]string{
				"base.yml":           "services:\n  base:\n    image: a:1\n    command: [a, b]\n    volumes: ['/a:/x', '/b:/y']\n    ports: ['80:80']\n",
				"docker-compose.yml": "services:\n  app:\n    extends: {file: base.yml, service: base}\n    command: []\n    volumes: ['/c:/y', '/d:/z']\n    ports: ['80:80', '81:81']\n",
			},
			[]string{"app a:1  /a:/x /c:/y /d:/z"},
		},
		"paths start from its folder": {
			map[string]string{
				"/environments/test/config.yml": bound, "parts/base.env": "A=base\nB=base\n", "own.env": "B=own\n",
				"parts/base.yml":     "services:\n  base:\n    image: a:1\n    env_file: base.env\n    volumes: ['./data:/data']\n",
				"docker-compose.yml": "services:\n  app:\n    extends: {file: parts/base.yml, service: base}\n    env_file: own.env\n    volumes: ['./own:/own']\n",
			},
			[]string{"app a:1 A=base B=own /srv/coin/parts/data:/data /srv/coin/own:/own"},
		},
		"chain through files": {
			map[string]string{
				"docker-compose.yml": "services:\n  app:\n    extends: {file: a/a.yml, service: a}\n    environment: {X: app}\n",
				"a/a.yml":            "services:\n  a:\n    extends: b\n    environment: {A: a}\n  b:\n    extends: {file: ../c/c.yml, service: c}\n    environment: {B: b}\n",
				"c/c.yml":            "services:\n  c:\n    image: c:1\n    env_file: c.env\n    environment: {X: c, A: c}\n",
				"c/c.env":            "E=c\n",
			},
			[]string{"app c:1 A=a B=b E=c X=app"},
		},
		"both names": {
			map[string]string{
				"base.yml":           "services:\n  base:\n    image: a:1\n",
				"docker-compose.yml": "services:\n  app:\n    extends: {file: base.yml, service: base}\n  base:\n    image: b:1\n  app-base:\n    image: c:1\n",
			},
			[]string{"app a:1", "app-base c:1", "base b:1"},
		},
		"its own file": {
			map[string]string{"docker-compose.yml": "services:\n  app:\n    extends: {file: docker-compose.yml, service: b}\n  b:\n    image: b:1\n"},
			[]string{"app b:1", "b b:1"},
		},
		"merge keys": {
			map[string]string{
				"base.yml":           "x-all: &all\n  environment: {A: $TAG}\nservices:\n  base:\n    <<: *all\n    image: a:1\n",
				"docker-compose.yml": "x-app: &app\n  extends: {file: base.yml, service: base}\nservices:\n  app: {<<: *app}\n  two: {<<: *app, image: 'b:1'}\n",
			},
			[]string{"app a:1 A=1", "two b:1 A=1"},
		},
	}.run(t)
}
