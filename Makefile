# A thin list of entry points: what they do is in scripts/. Settings are
# variables, given on the command line (make up EMCP_HTTPS_PORT=443), in the
# environment, or in compose/.env (see compose/.env.example).

.DEFAULT_GOAL := help
.PHONY: help up down dev test coverage soak bench lint sbom image firewall clean

help: ## Show this list.
	@printf 'EMCP: one Python file in, one HTTPS MCP URL out.\n\n'
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile
	@printf '\nSettings: compose/.env.example lists them. Logs of each step: ~/.cache/emcp/log.\n'

up: ## Install what is missing, build, start Traefik and EMCP, wait until ready.
	@scripts/up.sh

down: ## Stop Traefik and EMCP and keep the data (SERVERS=1 stops the MCP servers too).
	@scripts/down.sh

dev: ## Run EMCP from source beside a local Traefik; rebuilds on change, Ctrl-C ends all.
	@scripts/dev.sh

test: ## Set up for, and run, every test.
	@scripts/test.sh

coverage: ## How much of src/ the Rust tests run, by lines (FILES="src/gate …": which lines they do not).
	@scripts/coverage.sh $(FILES)

soak: ## Client programs, and long fault tests: 200 kills under load, Docker restarts, full disks, 1,000 servers.
	@scripts/soak.sh

bench: ## Measure upload to first answered tool call, and what the gate costs.
	@scripts/bench.sh

lint: ## Format, clippy, shellcheck, Python types, supply chain: what needs no engine.
	@scripts/test.sh lint

sbom: ## Write what the binary and the base image are made of, as CycloneDX, to sbom/.
	@scripts/sbom.sh

image: ## Build the base image of the servers and EMCP's own image.
	@scripts/image.sh

firewall: ## Install and show the firewall of the servers (root), as make up does.
	@scripts/firewall.sh install

clean: ## Remove what the other targets made, but for the data (PURGE=1: that too, after a question).
	@scripts/clean.sh
