"""Time engines, threads and sizes on this device, and choose the best configuration within a
budget.
"""
