"""Ours against PyTorch on one machine: alternating runs, medians, ratios (above 1: we are faster).

python benchmarks/compare.py --peer_python=PYTHON_WITH_TORCH_AND_DIFFUSERS
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
OURS = [
  sys.executable, str(HERE.parent / 'scripts' / 'benchmark.py'),
  f'--config={HERE.parent / "configs" / "cifar10_ddpm.py"}', '--config.train.batch_size=32',
  '--config.net.channels=64', '--config.net.multipliers=(1,2,2)', '--config.net.dropout=0.0',
  '--config.data.flip=False', '--config.sample.sampler=ddim',
]  # fmt: skip


def run(command):
  return json.loads(
    subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1]
  )


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--peer_python', required=True)
  parser.add_argument('--rounds', type=int, default=3)
  args = parser.parse_args()
  pairs = []
  for _ in range(args.rounds):
    pairs.append((run(OURS), run([args.peer_python, str(HERE / 'torch_unet.py')])))
    print(
      {
        k: [round(row[k], 3) for row in pairs[-1]]
        for k in ('train_step_seconds', 'forward_seconds')
      }
    )
  ours, peer = pairs[-1]
  assert ours['parameters'] == peer['parameters'], 'the two networks differ'
  result = {'rounds': args.rounds, 'parameters': ours['parameters'], 'device': ours['device']}
  for key in ('train_step_seconds', 'forward_seconds'):
    a, b = (statistics.median(pair[i][key] for pair in pairs) for i in (0, 1))
    result[key] = {'ours': a, 'peer': b, 'ratio': b / a}
  result['versions'] = {**ours['versions'], 'torch': peer['torch']}
  print(json.dumps(result))


if __name__ == '__main__':
  main()
