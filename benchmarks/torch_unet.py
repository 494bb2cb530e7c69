"""The peer: diffusers' UNet2DModel in PyTorch, the 6.47M-parameter UNet of configs/cifar10_ddpm.py
with --config.net.channels=64 --config.net.multipliers=(1,2,2), float32, batch 32 at 32x32x3.

Prints one line of JSON. Needs benchmarks/requirements.txt, in an environment of its own.
"""

import json
import statistics
import time

import torch
from diffusers import UNet2DModel

BATCH, REPEATS = 32, 5


def main():
  torch.manual_seed(0)
  net = UNet2DModel(
    sample_size=32, in_channels=3, out_channels=3, layers_per_block=2,
    block_out_channels=(64, 128, 128), attention_head_dim=128,
    down_block_types=('DownBlock2D', 'AttnDownBlock2D', 'DownBlock2D'),
    up_block_types=('UpBlock2D', 'AttnUpBlock2D', 'UpBlock2D'),
  )  # fmt: skip
  ema = [p.detach().clone() for p in net.parameters()]
  optimizer = torch.optim.AdamW(net.parameters(), lr=2e-4, weight_decay=0.0)
  x, t = torch.randn(BATCH, 3, 32, 32), torch.randint(0, 1000, (BATCH,))

  def train_step():
    optimizer.zero_grad(set_to_none=True)
    eps = torch.randn_like(x)
    loss = ((net(0.6 * x + 0.8 * eps, t).sample - eps) ** 2).mean()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()
    torch._foreach_lerp_(ema, [p.detach() for p in net.parameters()], 1e-4)
    return loss.item()

  @torch.no_grad()
  def forward():
    return net(x, t).sample.sum().item()

  def median(f):
    f(), f()
    seconds = []
    for _ in range(REPEATS):
      began = time.perf_counter()
      f()
      seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)

  print(json.dumps({
    'peer': 'diffusers UNet2DModel', 'torch': torch.__version__,
    'parameters': sum(p.numel() for p in net.parameters()),
    'threads': torch.get_num_threads(), 'batch_size': BATCH,
    'train_step_seconds': median(train_step), 'forward_seconds': median(forward),
  }))  # fmt: skip


if __name__ == '__main__':
  main()
