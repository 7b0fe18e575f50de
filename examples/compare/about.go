package main

// about says what is measured, in the document.
const about = `Both bring the same compose files to the same private engine, in turn, through the same proxy that counts
calls. Each service has its own image, and each stack a network and a config. No service has tasks, because
what is measured is how specs get into the engine. After each step the tool checks that every service has
its new variable and the digest of its image.

- **time** of the agent: from the hook that announces the commit until the last write was answered, with git
  and the state file. Time of the CLI: from the start of the command until the same. Where nothing is
  written, the last read counts.
- **CPU**: user and system time of the agent's daemon until it rests, or of the docker commands. The agent
  also checks the result, writes its state file and looks for old secrets and configs.
- **reads, writes, kB**: calls to the engine, and the bytes of their bodies.
- **÷ CLI**: the number divided by that of the CLI. Below 1.00 is better than the CLI.
- **the docker CLI** runs ` + "`docker stack deploy --resolve-image always --prune`" + ` for each stack, one after the
  other. If one service changes, it deploys only that stack. If nothing changes, it deploys all again:
  it cannot know.
- **the agent** is one daemon for all stacks, with ` + "`images: {resolve: always}`" + ` in config.yml. If nothing
  changes, it looks at git and the engine, and does not ask the registry.
`
