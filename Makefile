# Each target installs what it needs by itself (./setup says what) and reuses it the next time.
export PATH := $(HOME)/.cache/otedama/tools/bin:$(PATH)

run: ; ./setup run && cargo image run $(RUN)
test: ; ./setup test && cargo fmt --all --check && cargo clippy --workspace --all-targets --locked -- -D warnings && cargo image build && cargo nextest run --workspace --locked
image: ; ./setup image && cargo image build $(BOARD)
bench: ; ./setup bench && cargo bench --locked -p supervisor --bench first_light -- $(BENCH)
seeds: ; cargo run --release --locked -p sim --example seeds -- $(SEEDS)
mutations: ; cargo run --locked -p sim --example mutations
.PHONY: run test image bench seeds mutations
